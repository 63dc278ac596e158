//! Host ports that somebody else holds. Once the engine has refused a target one, its ports are looked at before the
//! server that works is stopped again for one that could not have them. Who holds them, is no matter here.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Mutex, PoisonError},
};

use super::{act::Executor, needs::is_here};
use crate::{
    engine::{Engine, EngineError, EngineResult, Images},
    model::{
        RunTarget,
        spec::{Port, Protocol},
    },
};

/// Targets that the engine refused a port last.
///
/// Only its own word begins it: mcpmon may run in a container beside the engine, where another listens than there.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<BTreeSet<String>>);

impl Refused {
    /// Takes what came of a start of the target.
    pub(super) fn note(&self, target: &str, started: &EngineResult<()>) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match started {
            Ok(()) => refused.remove(target),
            Err(EngineError::PortTaken(_)) => refused.insert(target.to_owned()),
            Err(_) => false,
        };
    }

    fn has(&self, target: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(target)
    }
}

impl<E: Engine, I: Images> Executor<E, I> {
    /// Whether the target may have its ports, as far as that is known: those of `old` are free when it stops.
    ///
    /// # Errors
    /// The engine refused one, and it is held still.
    pub(super) async fn may_have_its_ports(&self, target: &str, run: &RunTarget, old: &str) -> EngineResult<()> {
        if !self.refused.has(target) || !is_here(&self.engine.info()) {
            return Ok(());
        }
        let held = self.engine.inspect(old).await?.map(|old| old.published).unwrap_or_default();
        let held: BTreeSet<u16> = held.iter().map(|(_, address)| address.port()).collect();
        match taken(&run.spec.ports, &held, is_in_use) {
            Some(address) => Err(EngineError::PortTaken(format!("host port {address} is taken"))),
            None => Ok(()),
        }
    }
}

/// The first of the ports that is in use, and not by whoever has those that are `held`.
fn taken(ports: &[Port], held: &BTreeSet<u16>, is_in_use: impl Fn(SocketAddr, Protocol) -> bool) -> Option<SocketAddr> {
    let others = ports.iter().filter(|port| port.published != 0 && !held.contains(&port.published));
    let mut addresses = others.map(|port| {
        let host = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        (SocketAddr::new(host, port.published), port.protocol)
    });
    addresses.find(|(address, protocol)| is_in_use(*address, *protocol)).map(|(address, _)| address)
}

/// Whether somebody on this host listens there. What can't be asked is not said to be.
fn is_in_use(address: SocketAddr, protocol: Protocol) -> bool {
    let bound = match protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
        Protocol::Sctp => Ok(()),
    };
    bound.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_else_holds_is_in_the_way() {
        // Ports asked for, those that the old one has, and those in use by anybody; which one is in the way.
        for (asked, held, in_use, expected) in [
            (&[][..], &[][..], &[80][..], None),
            (&[80], &[], &[], None),
            (&[80], &[], &[80], Some("0.0.0.0:80")),
            (&[80], &[80], &[80], None),
            (&[80, 81], &[80], &[80, 81], Some("0.0.0.0:81")),
            (&[0], &[], &[0], None),
        ] {
            let port =
                |published: &u16| Port { host_ip: None, published: *published, target: 1, protocol: Protocol::Tcp };
            let ports: Vec<Port> = asked.iter().map(port).collect();
            let found = taken(&ports, &held.iter().copied().collect(), |address, _| in_use.contains(&address.port()));
            assert_eq!(found.map(|address| address.to_string()).as_deref(), expected, "{asked:?} {held:?} {in_use:?}");
        }
    }

    #[test]
    fn what_listens_is_seen_by_its_protocol() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        for address in [tcp.local_addr().expect("an address"), udp.local_addr().expect("an address")] {
            let anywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            let is_tcp = address == tcp.local_addr().expect("an address");
            for asked in [address, anywhere] {
                assert_eq!(is_in_use(asked, Protocol::Tcp), is_tcp, "{asked}");
                assert_eq!(is_in_use(asked, Protocol::Udp), !is_tcp, "{asked}");
            }
        }
        let address = tcp.local_addr().expect("an address");
        drop(tcp);
        assert!(!is_in_use(address, Protocol::Tcp));
    }

    #[test]
    fn the_engines_last_word_counts() {
        let refused = Refused::default();
        refused.note("a", &Err(EngineError::PortTaken("taken".into())));
        refused.note("b", &Err(EngineError::NotFound("gone".into())));
        assert_eq!((refused.has("a"), refused.has("b")), (true, false));
        refused.note("a", &Err(EngineError::NotFound("gone".into())));
        assert!(refused.has("a"), "that says nothing of its ports");
        refused.note("a", &Ok(()));
        assert!(!refused.has("a"));
    }
}
