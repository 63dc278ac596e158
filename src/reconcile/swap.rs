//! Replacing a running container by another one, so that a bad one never takes a working one down.
//!
//! The new container is made under a passing name, ahead of everything else. Start-first: it starts
//! beside the old one and must be ready before that one is stopped. Stop-first: the old one stops,
//! the new one starts; if it does not become ready, it is removed and the old one is started again.
//! A port that the engine has refused it, and that is held still, is no reason to stop the old one again (`ports`).
//! Where the same was made before (a file was saved, the image and the configuration are as they were) it is made
//! while the old one stops: that takes the engine as long as a tenth of the whole swap.
//! And where the old one has no time to end by itself (`stop_grace_period` zero), it is first taken off its networks,
//! which frees its ports. Where these are all that stood in the way, it goes on without them until the new one is ready, as
//! with start-first: its death costs the new one no time (a third of the swap), and a new one that is no good costs it
//! nothing but its connections. Else what the engine does at its death goes on while the new one starts: a tenth.
//!
//! Where a health check or an MCP answer tells that the new one is good, the old one is removed at
//! once. Where nothing but time can tell, the old one is kept, stopped, for `monitor`: the loop puts
//! it back when the new one ends within that time.

use super::{
    act::{Done, Executor, Failure},
    ready::{Evidence, evidence},
};
use crate::{
    engine::{Engine, EngineResult, Images},
    model::{
        Project, RunTarget, Target,
        target::{UpdateConfig, UpdateOrder},
    },
    plan::container_name,
};

/// Which container moves first.
pub fn order(run: &RunTarget, update: &UpdateConfig) -> UpdateOrder {
    if run.only_one().is_some() {
        return UpdateOrder::StopFirst;
    }
    update.order.unwrap_or(UpdateOrder::StartFirst)
}

/// The old one may run until the new one is ready, once it is off its networks.
fn may_overlap(run: &RunTarget, update: &UpdateConfig) -> bool {
    update.order != Some(UpdateOrder::StopFirst) && run.only_one_on_any_port().is_none()
}

impl<E: Engine, I: Images> Executor<E, I> {
    /// Puts a fresh container in the place of `old`. `again`: it is made of what the old one was made of, so that
    /// making it needs no proof before the old one stops.
    pub(super) async fn swap(
        &self,
        project: &Project,
        target: &Target,
        run: &RunTarget,
        old: &str,
        again: bool,
    ) -> Result<Done, Failure> {
        let name = container_name(project, target);
        let order = order(run, &target.update);
        let passing = passing_name(&name);
        let grace = run.spec.stop_grace_period;
        let evidence = evidence(target, run);

        // Only where it is the same again: the way back puts the old one on the networks that the new one has.
        let at_once = order == UpdateOrder::StopFirst && again && grace.is_zero() && !run.spec.networks.is_empty();

        if order == UpdateOrder::StopFirst {
            self.may_have_its_ports(&target.name, run, old).await?;
        }
        let create = async {
            let new = self.create(project, target, run, &passing).await?;
            match self.fill(project, target, &new).await {
                Ok(()) => Ok(new),
                Err(failure) => Err(self.undo(&new, failure).await),
            }
        };
        let make_room =
            async { if at_once { self.leave_networks(old, run).await } else { self.engine.stop(old, grace).await } };
        let (new, room) = match order {
            UpdateOrder::StartFirst => (create.await?, Ok(())),
            UpdateOrder::StopFirst if again => match tokio::join!(create, make_room) {
                (Ok(new), room) => (new, room),
                (Err(failure), _) => return Err(self.go_back(target, run, old, at_once, failure).await),
            },
            UpdateOrder::StopFirst => (create.await?, make_room.await),
        };
        let attempt = async {
            room?;
            if self.ending.is_cancelled() {
                return Err(Failure::new("the session ends"));
            }
            if at_once && !may_overlap(run, &target.update) {
                // The signal is the first thing of the one call, the new one's program the last of the other.
                tokio::try_join!(self.engine.kill(old), self.engine.start(&new))?;
            } else {
                let started = self.engine.start(&new).await;
                self.refused.note(&target.name, &started);
                started?;
            }
            self.ready(&new, evidence, target.update.monitor).await
        };
        if let Err(failure) = attempt.await
            && (target.update.rollback || failure.unreachable || self.ending.is_cancelled())
        {
            let failure = self.undo(&new, failure).await;
            return Err(match order {
                UpdateOrder::StartFirst => failure,
                UpdateOrder::StopFirst => self.go_back(target, run, old, at_once, failure).await,
            });
        }

        // The new one is in charge from here on. What fails now is made good by the next pass: it finds one container
        // too many, or one without its name.
        let keep = evidence == Evidence::Running && target.update.rollback && !target.update.monitor.is_zero();
        let out_of_the_way = async {
            self.engine.stop(old, grace).await?;
            if !keep {
                return self.engine.remove(old).await;
            }
            if at_once {
                self.rejoin_networks(target, run, old).await?;
            }
            self.engine.rename(old, &passing_name(&name)).await
        };
        let done = match out_of_the_way.await {
            Ok(()) => self.engine.rename(&new, &name).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &done {
            tracing::warn!("{}: after the swap: {error}", target.name);
        }
        let spare = (keep && done.is_ok()).then(|| old.to_owned());
        Ok(Done::Swapped { container: new, order, spare })
    }

    /// Frees the ports of a container that runs.
    async fn leave_networks(&self, container: &str, run: &RunTarget) -> EngineResult<()> {
        for network in run.spec.networks.keys() {
            self.engine.leave_network(container, network).await?;
        }
        Ok(())
    }

    /// Puts a container back on its networks.
    async fn rejoin_networks(&self, target: &Target, run: &RunTarget, container: &str) -> EngineResult<()> {
        for (network, attachment) in &run.spec.networks {
            // It may have been taken off some of them only.
            self.engine.leave_network(container, network).await?;
            self.engine.join_network(container, network, attachment, &target.name).await?;
        }
        Ok(())
    }

    /// Starts the old container again after the swap failed, unless the session ends. `off`: it was taken off its
    /// networks, and may run still.
    async fn go_back(&self, target: &Target, run: &RunTarget, old: &str, off: bool, failure: Failure) -> Failure {
        if self.ending.is_cancelled() {
            return failure;
        }
        let back = async {
            if off {
                self.rejoin_networks(target, run, old).await?;
            }
            self.engine.start(old).await
        };
        match back.await {
            Ok(()) => failure,
            Err(error) => {
                Failure::new(format!("{}; the old container could not be started again: {error}", failure.message))
            }
        }
    }

    /// Puts a kept old container back in the place of one that ended too soon.
    pub async fn put_back(&self, project: &Project, target: &Target, new: &str, old: &str) -> Result<Done, Failure> {
        let log = crate::output::follow::tail(&self.engine, new, super::act::LOG_LINES).await;
        self.engine.remove(new).await?;
        self.engine.rename(old, &container_name(project, target)).await?;
        self.engine.start(old).await?;
        Ok(Done::PutBack { log })
    }
}

/// A name that a container has for a moment only.
fn passing_name(name: &str) -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("{name}-{}", &id[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        spec::{NetworkAttachment, Port, Protocol},
        testing::{run, target},
    };

    #[test]
    fn start_first_where_nothing_stands_in_the_way() {
        type Prepare = fn(&mut RunTarget);
        let cases: &[(&str, Prepare, UpdateOrder)] = &[
            ("nothing in the way", |_| {}, UpdateOrder::StartFirst),
            ("a fixed port", |run| run.spec.ports.push(port(80)), UpdateOrder::StopFirst),
            ("a port of the engine's choice", |run| run.spec.ports.push(port(0)), UpdateOrder::StartFirst),
            ("a fixed name", |run| run.spec.container_name = Some("x".into()), UpdateOrder::StopFirst),
            ("the host's network", |run| run.spec.network_mode = Some("host".into()), UpdateOrder::StopFirst),
            ("no network", |run| run.spec.network_mode = Some("none".into()), UpdateOrder::StartFirst),
            (
                "a fixed address",
                |run| {
                    run.spec.networks.insert(
                        "n".into(),
                        NetworkAttachment { ipv4_address: Some("10.0.0.2".into()), ..NetworkAttachment::default() },
                    );
                },
                UpdateOrder::StopFirst,
            ),
        ];
        for (name, prepare, expected) in cases {
            let mut target = target("a", "i");
            prepare(run(&mut target));
            let inner = run(&mut target).clone();
            assert_eq!(order(&inner, &target.update), *expected, "case: {name}");
        }
        let mut asked = target("a", "i");
        asked.update.order = Some(UpdateOrder::StopFirst);
        let inner = run(&mut asked).clone();
        assert_eq!(order(&inner, &asked.update), UpdateOrder::StopFirst);
    }

    fn port(published: u16) -> Port {
        Port { host_ip: None, published, target: 80, protocol: Protocol::Tcp }
    }
}
