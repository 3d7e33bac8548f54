//! What comes from several packs at the same time, the first pack's first.
//!
//! Files are hashed from their start to their end, and their chunks lie in that order, as a rule: what a later pack
//! has ready waits a moment for the first one. So packs come side by side where each of them comes slowly, and one after
//! the other where the disk or the processors are what is slow; then next to nothing comes ahead of its time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

/// How many batches of a pack may wait to be taken.
const WAITING: usize = 1;

/// How long the first pack may have nothing before the others get their turn: at 400 MB a second it has something.
const PATIENCE: Duration = Duration::from_millis(5);

/// Takes what comes of each pack.
pub(super) struct Arrivals<T>(VecDeque<mpsc::Receiver<T>>);

/// Where the batches of one pack go.
pub(super) type Arrival<T> = mpsc::Sender<T>;

/// Makes room for what comes of so many packs, in their order.
pub(super) fn arrivals<T>(packs: usize) -> (Vec<Arrival<T>>, Arrivals<T>) {
    let (senders, receivers) = (0..packs).map(|_| mpsc::channel(WAITING)).unzip();
    (senders, Arrivals(receivers))
}

impl<T> Arrivals<T> {
    /// What is to be taken next; `None` once every pack has come to its end.
    pub(super) async fn next(&mut self) -> Option<T> {
        while let Some(first) = self.0.front_mut() {
            match timeout(PATIENCE, first.recv()).await {
                Ok(Some(batch)) => return Some(batch),
                Ok(None) => drop(self.0.pop_front()),
                Err(_) => return poll_fn(|context| self.poll_any(context)).await,
            }
        }
        None
    }

    /// What the first pack has that has anything.
    fn poll_any(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut at = 0;
        while let Some(pack) = self.0.get_mut(at) {
            match pack.poll_recv(context) {
                Poll::Ready(Some(batch)) => return Poll::Ready(Some(batch)),
                Poll::Ready(None) => drop(self.0.remove(at)),
                Poll::Pending => at += 1,
            }
        }
        if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_pack_goes_first_and_the_others_do_not_wait_for_what_is_not_there() {
        let (mut senders, mut arrivals) = arrivals(3);
        let [third, second, first] = [(); 3].map(|()| senders.pop().unwrap());
        second.send("second, early").await.unwrap();
        assert_eq!(arrivals.next().await, Some("second, early"));
        third.send("third").await.unwrap();
        second.send("second").await.unwrap();
        first.send("first").await.unwrap();
        assert_eq!(arrivals.next().await, Some("first"));
        drop(first);
        assert_eq!(arrivals.next().await, Some("second"));
        drop(second);
        assert_eq!(arrivals.next().await, Some("third"));
        drop(third);
        assert_eq!(arrivals.next().await, None);
    }
}
