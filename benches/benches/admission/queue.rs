//! A compartment of one seat with a request of every other tenant waiting for it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use watertight_base::{ServiceId, Tick};
use watertight_layers::{Admission, Permit, Refusal, What, Who};

type Waiting = Pin<Box<dyn Future<Output = Result<Permit, Refusal>>>>;

pub(crate) struct Queue {
    admission: Admission,
    service: ServiceId,
    whos: Vec<Who>,
    waiting: Vec<Waiting>,
    wakers: Vec<Waker>,
    woken: Arc<Mutex<Vec<usize>>>,
    /// Who sits.
    seated: Option<Permit>,
}

impl Queue {
    pub(crate) fn new(admission: Admission, whos: Vec<Who>, service: ServiceId) -> Self {
        let woken = Arc::new(Mutex::new(Vec::new()));
        let bell = |number| {
            let woken = Arc::clone(&woken);
            Waker::from(Arc::new(Bell { number, woken }))
        };
        let mut queue = Self {
            wakers: (0..whos.len()).map(bell).collect(),
            waiting: Vec::with_capacity(whos.len()),
            admission,
            service,
            whos,
            woken,
            seated: None,
        };
        for number in 0..queue.whos.len() {
            let request = queue.request(number);
            queue.waiting.push(request);
            queue.poll(number);
        }
        queue
    }

    /// The one who sits leaves, the next one is woken and takes the seat, and its tenant asks again.
    pub(crate) fn serve_one(&mut self) {
        self.seated = None;
        let woken = self.woken.lock();
        let woken = woken.unwrap_or_else(PoisonError::into_inner).pop();
        let Some(number) = woken else {
            unreachable!("somebody waits, and a seat came free");
        };
        self.poll(number);
        self.poll(number);
    }

    /// Goes on with a tenant's request. When it is seated, the tenant's next request takes its turn.
    fn poll(&mut self, number: usize) {
        let mut context = Context::from_waker(&self.wakers[number]);
        match self.waiting[number].as_mut().poll(&mut context) {
            Poll::Ready(Ok(permit)) => {
                self.seated = Some(permit);
                self.waiting[number] = self.request(number);
            }
            Poll::Ready(Err(refusal)) => unreachable!("refused: {refusal:?}"),
            Poll::Pending => {}
        }
    }

    fn request(&self, number: usize) -> Waiting {
        let admission = self.admission.clone();
        let (who, service) = (self.whos[number].clone(), self.service.clone());
        Box::pin(async move {
            let what = What::new(&service, Tick::MAX);
            admission.admit(&who, what, admission.clock().now()).await
        })
    }
}

/// Notes whose turn it is.
struct Bell {
    number: usize,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let woken = self.woken.lock();
        woken
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.number);
    }
}
