//! Bytes that wait to be written: small frames are put together, so that many go out in one call; large ones are kept
//! as they are, so that they are not copied. Pure.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Frames up to this size are copied together.
const SMALL: usize = 8 << 10;
/// So much is put together at most: what the kernel takes at a time.
const TOGETHER: usize = 64 << 10;

/// What is to be written, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: VecDeque<Bytes>,
    small: BytesMut,
    length: usize,
}

impl Queue {
    /// Behind all that is there.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        if bytes.len() <= SMALL {
            self.small.extend_from_slice(&bytes);
            if self.small.len() >= TOGETHER {
                self.put_together();
            }
        } else {
            self.put_together();
            self.ready.push_back(bytes);
        }
    }

    fn put_together(&mut self) {
        if !self.small.is_empty() {
            self.ready.push_back(self.small.split().freeze());
        }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is to be written next; empty when nothing waits.
    pub(super) fn front(&mut self) -> &[u8] {
        if self.ready.is_empty() {
            self.put_together();
        }
        self.ready.front().map(Bytes::as_ref).unwrap_or_default()
    }

    /// So much of the front was written.
    pub(super) fn advance(&mut self, written: usize) {
        if let Some(front) = self.ready.front_mut() {
            front.advance(written);
            self.length -= written;
            if front.is_empty() {
                self.ready.pop_front();
            }
        }
    }

    /// Lets go of everything; gives how much that was.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(self).length
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            sizes in proptest::collection::vec(prop_oneof![1_usize..200, 8000_usize..9000, 60_000_usize..140_000], 0..40),
            mut writes in proptest::collection::vec(1_usize..100_000, 1..20),
        ) {
            let (mut queue, mut sent, mut received) = (Queue::default(), Vec::new(), Vec::new());
            let mut write = |queue: &mut Queue, received: &mut Vec<u8>| {
                let most = writes[0];
                writes.rotate_left(1);
                let front = queue.front();
                let written = front.len().min(most);
                received.extend_from_slice(&front[..written]);
                queue.advance(written);
            };
            for (number, size) in sizes.into_iter().enumerate() {
                let frame = vec![u8::try_from(number).expect("few"); size];
                sent.extend_from_slice(&frame);
                queue.push(frame.into());
                if number % 3 == 0 {
                    write(&mut queue, &mut received);
                }
                prop_assert_eq!(queue.len(), sent.len() - received.len());
            }
            while !queue.is_empty() {
                write(&mut queue, &mut received);
            }
            prop_assert!(sent == received);
        }
    }

    #[test]
    fn small_frames_go_out_together_and_large_ones_as_they_are() {
        let mut queue = Queue::default();
        for _ in 0..3 {
            queue.push(Bytes::from_static(b"{}\n"));
        }
        assert_eq!(queue.front(), b"{}\n{}\n{}\n");
        queue.advance(9);
        let large = Bytes::from(vec![0; SMALL + 1]);
        queue.push(large.clone());
        assert_eq!(queue.front().as_ptr(), large.as_ptr());
        assert_eq!(queue.clear(), SMALL + 1);
        assert!(queue.is_empty());
    }
}
