//! What whoever started mcpmon has open besides stdin, stdout and stderr (a lock, a pipe of a shell). A child that stays
//! when its parent has ended must not hold it: the lock would stay locked, and who reads from the pipe would wait.

/// The first descriptor that has no fixed meaning.
const FIRST: i32 = 3;

/// No child that is started from now on gets it.
pub fn keep_to_myself() {
    close_fds::set_fds_cloexec_threadsafe(FIRST, &[]);
}

/// Closes it, in such a child.
///
/// # Safety
/// Nothing of this process's own is open, or is used any more.
#[allow(unsafe_code, reason = "a descriptor that is closed here may be somebody's")]
pub unsafe fn close() {
    // SAFETY: the caller's promise.
    unsafe { close_fds::close_open_fds(FIRST, &[]) };
}

#[cfg(test)]
mod tests {
    use std::{
        os::fd::AsRawFd,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_child_has_no_more_than_it_is_given() {
        // As a shell opens it: not close-on-exec.
        let (reader, _writer) = rustix::pipe::pipe().expect("a pipe");
        let has = |fd: i32| {
            let mut test = Command::new("test");
            test.arg("-e").arg(format!("/proc/self/fd/{fd}")).stdin(Stdio::null());
            test.status().expect("test").success()
        };
        assert!(has(reader.as_raw_fd()));
        keep_to_myself();
        assert!(!has(reader.as_raw_fd()));
        assert!(has(0) && has(2));
    }
}
