//! A compartment of one seat with a request of every other tenant waiting for it.
//!
//! Ten thousand requests do not fit into a cache, so what the bench keeps for each of them would be
//! measured as well: it keeps the request's future, in a box that is used again, and a waker.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use watertight_base::{ServiceId, Tick};
use watertight_layers::{Admission, Permit, Refusal, What, Who};

type Verdict = Result<Permit, Refusal>;

/// Where requests come from.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) admission: &'a Admission,
    pub(crate) whos: &'a [Who],
    pub(crate) service: &'a ServiceId,
}

pub(crate) struct Queue<'a, F> {
    asking: Asking<'a>,
    request: fn(Asking<'a>, usize) -> F,
    waiting: Vec<Pin<Box<F>>>,
    wakers: Vec<Waker>,
    woken: Arc<AtomicUsize>,
    /// Who sits.
    seated: Option<Permit>,
}

/// A queue in which every tenant waits but one, who sits.
pub(crate) fn queue(asking: Asking<'_>) -> Queue<'_, impl Future<Output = Verdict>> {
    Queue::new(asking, Asking::request)
}

impl<'a, F: Future<Output = Verdict>> Queue<'a, F> {
    fn new(asking: Asking<'a>, request: fn(Asking<'a>, usize) -> F) -> Self {
        let tenants = asking.whos.len();
        let woken = Arc::new(AtomicUsize::new(tenants));
        let bell = |number| {
            let woken = Arc::clone(&woken);
            Waker::from(Arc::new(Bell { number, woken }))
        };
        let requests = (0..tenants).map(|number| Box::pin(request(asking, number)));
        let mut queue = Self {
            asking,
            request,
            waiting: requests.collect(),
            wakers: (0..tenants).map(bell).collect(),
            woken,
            seated: None,
        };
        (0..tenants).for_each(|number| queue.poll(number));
        queue
    }

    /// The one who sits leaves, the next one is woken and takes the seat, and its tenant asks again.
    pub(crate) fn serve_one(&mut self) {
        self.seated = None;
        let nobody = self.wakers.len();
        let number = self.woken.swap(nobody, Ordering::Relaxed);
        assert!(number < nobody, "somebody waits, and a seat came free");
        self.poll(number);
        self.poll(number);
    }

    /// Goes on with a tenant's request. When it is seated, the tenant's next request takes its turn.
    fn poll(&mut self, number: usize) {
        let mut context = Context::from_waker(&self.wakers[number]);
        match self.waiting[number].as_mut().poll(&mut context) {
            Poll::Ready(Ok(permit)) => {
                self.seated = Some(permit);
                self.waiting[number].set((self.request)(self.asking, number));
            }
            Poll::Ready(Err(refusal)) => unreachable!("refused: {refusal:?}"),
            Poll::Pending => {}
        }
    }
}

impl<'a> Asking<'a> {
    /// The next request of a tenant.
    fn request(self, number: usize) -> impl Future<Output = Verdict> + use<'a> {
        let what = What::new(self.service, Tick::MAX);
        let now = self.admission.clock().now();
        self.admission.admit(&self.whos[number], what, now)
    }
}

/// Notes whose turn it is.
struct Bell {
    number: usize,
    woken: Arc<AtomicUsize>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.store(self.number, Ordering::Relaxed);
    }
}
