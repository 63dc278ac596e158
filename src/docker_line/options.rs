//! Which options docker and podman take, and which of them take a value: the one table that says where an option
//! ends and the image begins. It must not know what any option means.
//!
//! Source of the rule: the CLIs' own `--help` (docker 28, podman 4.3), which the tests compare with this table, and
//! docker/cli `cli/command/container/opts.go` for what the help leaves out: options for other systems, of newer
//! engines, and old names.

use std::collections::BTreeMap;

use super::Verb;

/// Whose command line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `docker`, and whatever else speaks its language.
    Docker,
    /// `podman`, `podman-remote`.
    Podman,
}

// An option is `long` or `s,long`.
const SWITCHES: &str = "disable-content-trust help init i,interactive no-healthcheck oom-kill-disable privileged \
    P,publish-all q,quiet read-only rm t,tty use-api-socket";
const VALUES: &str = "add-host a,attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns \
    cidfile cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c,cpu-shares cpus cpuset-cpus cpuset-mems device \
    device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops dns dns-option dns-search \
    domainname entrypoint e,env env-file expose gpus group-add health-cmd health-interval health-retries \
    health-start-period health-timeout h,hostname ip ip6 ipc isolation kernel-memory l,label label-file link \
    link-local-ip log-driver log-opt mac-address m,memory memory-reservation memory-swap memory-swappiness mount \
    name network network-alias oom-score-adj pid pids-limit platform p,publish pull restart runtime security-opt \
    shm-size stop-signal stop-timeout storage-opt sysctl tmpfs ulimit u,user userns uts v,volume volume-driver \
    volumes-from w,workdir";
/// Of `run` alone.
const RUN_SWITCHES: &str = "d,detach sig-proxy";
const RUN_VALUES: &str = "detach-keys";
/// Not in docker's help: of newer engines, of Windows, and old names.
const HIDDEN_VALUES: &str = "annotation cpu-count cpu-percent dns-opt health-start-interval io-maxbandwidth io-maxiops \
    net net-alias";

const PODMAN_SWITCHES: &str = "env-host http-proxy no-hosts passwd read-only-tmpfs replace rmi rootfs tls-verify \
    unsetenv-all";
const PODMAN_VALUES: &str = "annotation arch authfile cgroup-conf cgroups chrootdirs conmon-pidfile env-merge gidmap \
    health-on-failure hostuser image-volume init-ctr init-path os passwd-entry personality pidfile pod pod-id-file \
    preserve-fds requires sdnotify seccomp-policy secret subgidname subuidname systemd timeout tz uidmap umask \
    unsetenv variant";

const GLOBAL_SWITCHES: &str = "D,debug h,help tls tlsverify v,version";
const GLOBAL_VALUES: &str = "config c,context H,host l,log-level tlscacert tlscert tlskey";
const PODMAN_GLOBAL_SWITCHES: &str = "help noout r,remote syslog v,version";
const PODMAN_GLOBAL_VALUES: &str = "cgroup-manager config conmon c,connection context events-backend H,host hooks-dir \
    identity log-level module namespace network-cmd-path network-config-dir root runroot runtime runtime-flag ssh \
    storage-driver storage-opt tmpdir url volumepath";

/// Options by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Long names, and whether they take a value.
    long: BTreeMap<String, bool>,
    /// Letters, and their long names.
    short: BTreeMap<u8, String>,
}

impl Options {
    /// What stands before the command.
    pub fn global(program: Program) -> Self {
        match program {
            Program::Docker => Self::of(&[GLOBAL_SWITCHES], &[GLOBAL_VALUES]),
            Program::Podman => Self::of(&[PODMAN_GLOBAL_SWITCHES], &[PODMAN_GLOBAL_VALUES]),
        }
    }

    /// What stands between the command and the image.
    pub fn container(program: Program, verb: Verb) -> Self {
        let (mut switches, mut values) = (vec![SWITCHES], vec![VALUES, HIDDEN_VALUES]);
        if verb == Verb::Run {
            switches.push(RUN_SWITCHES);
            values.push(RUN_VALUES);
        }
        if program == Program::Podman {
            switches.push(PODMAN_SWITCHES);
            values.push(PODMAN_VALUES);
        }
        Self::of(&switches, &values)
    }

    /// What a CLI's `--help` says: for options younger than this table.
    pub fn from_help(text: &str) -> Self {
        let mut options = Self::default();
        for line in text.lines() {
            // `  -a, --attach list   …` or `      --rm   …`; a description that goes on begins further right.
            let (short, rest) = match (line.strip_prefix("  -"), line.strip_prefix("      --")) {
                (_, Some(rest)) => (None, rest),
                (Some(rest), None) => match rest.split_once(", --") {
                    Some((short, rest)) if short.len() == 1 => (short.bytes().next(), rest),
                    _ => continue,
                },
                (None, None) => continue,
            };
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            // One space: the kind of its value. More: the description.
            let mut after = rest.chars().skip(1);
            let takes_value = after.next().is_some_and(|next| !next.is_whitespace());
            options.add(short, name, takes_value);
        }
        options
    }

    /// Options by their names: lists of `long` or `s,long`.
    pub(crate) fn of(switches: &[&str], values: &[&str]) -> Self {
        let mut options = Self::default();
        for (lists, takes_value) in [(switches, false), (values, true)] {
            for word in lists.iter().flat_map(|list| list.split_whitespace()) {
                match word.split_once(',') {
                    Some((short, long)) => options.add(short.bytes().next(), long, takes_value),
                    None => options.add(None, word, takes_value),
                }
            }
        }
        options
    }

    fn add(&mut self, short: Option<u8>, long: &str, takes_value: bool) {
        self.long.insert(long.to_owned(), takes_value);
        if let Some(short) = short {
            self.short.insert(short, long.to_owned());
        }
    }

    /// Adds what is not there yet.
    pub fn extend(&mut self, more: &Self) {
        for (long, takes_value) in &more.long {
            self.long.entry(long.clone()).or_insert(*takes_value);
        }
        for (short, long) in &more.short {
            self.short.entry(*short).or_insert_with(|| long.clone());
        }
    }

    /// An option's own name and whether it takes a value, by its long name.
    pub(crate) fn long(&self, name: &str) -> Option<(&str, bool)> {
        self.long.get_key_value(name).map(|(name, takes_value)| (name.as_str(), *takes_value))
    }

    /// The same by its letter.
    pub(crate) fn short(&self, letter: u8) -> Option<(&str, bool)> {
        self.long(self.short.get(&letter)?)
    }

    /// What of `other` is not here, or here with another kind or letter; as `s,long value`.
    pub fn lacks(&self, other: &Self) -> Vec<String> {
        let differs = |(long, takes_value): &(&String, &bool)| self.long.get(*long) != Some(takes_value);
        let long = other
            .long
            .iter()
            .filter(differs)
            .map(|(long, takes_value)| if *takes_value { format!("{long} VALUE") } else { long.clone() });
        let short = other.short.iter().filter(|(letter, long)| self.short.get(letter) != Some(long));
        long.chain(short.map(|(letter, long)| format!("{},{long}", char::from(*letter)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_read_as_it_is_printed() {
        let help = "Usage:  docker run [OPTIONS] IMAGE\n\nOptions:\n      --add-host list   Add a mapping\n\
                    \x20                       (host:ip)\n  -a, --attach list     Attach\n      --rm              Remove\n\
                    \x20     --shorter   Text that begins --here\n                                       --not-an-option x\n\
                    \x20 -m, --memory <number>[<unit>]      Memory limit\n      --help                \n\
                    \x20     --detach-keys [a-Z]        Keys\n  podman run --volume /a:/b -i -t fedora\n      --bare";
        let mut expected = Options::of(&["rm shorter help bare"], &["add-host a,attach m,memory detach-keys"]);
        assert_eq!(Options::from_help(help), expected);
        assert_eq!(expected.lacks(&Options::of(&["memory x"], &["y,attach"])), ["memory", "x", "y,attach"]);
        expected.extend(&Options::of(&["memory x"], &[]));
        assert_eq!((expected.long("memory"), expected.long("x")), (Some(("memory", true)), Some(("x", false))));
    }

    #[test]
    fn the_tables_are_sound() {
        for program in [Program::Docker, Program::Podman] {
            for verb in [Verb::Run, Verb::Create] {
                let options = Options::container(program, verb);
                assert_eq!(options.long("detach").is_some(), verb == Verb::Run);
                assert_eq!(options.short(b'p'), Some(("publish", true)));
                assert_eq!(options.short(b'i'), Some(("interactive", false)));
            }
            assert_eq!(Options::global(program).long("log-level"), Some(("log-level", true)));
        }
        let lists = [SWITCHES, VALUES, RUN_SWITCHES, RUN_VALUES, PODMAN_SWITCHES, PODMAN_VALUES];
        let mut words: Vec<&str> = lists.iter().flat_map(|list| list.split_whitespace()).collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count, "an option stands in two lists");
    }
}
