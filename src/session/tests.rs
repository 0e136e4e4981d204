//! What callers of a session rely on.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use proptest::prelude::*;

use super::*;
use crate::batch::Batch;
use crate::recipe::Prompt;

const LIMITS: Limits = Limits { pairs: 8, tokens: 20, share_prefixes: true, fill: true };
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine whose logits are sums of tokens. It keeps its batches, waits for a permission before each one if it has a gate,
/// panics at a token 13 and fails at 14.
#[derive(Clone, Default)]
struct Sums {
    batches: Arc<Mutex<Vec<Batch>>>,
    gate: Option<Arc<Mutex<Receiver<()>>>>,
    most_tokens: Option<usize>,
}

impl Engine for Sums {
    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        if let Some(gate) = &self.gate {
            gate.lock().unwrap().recv_timeout(PATIENCE)?;
        }
        assert!(!batch.token_ids.contains(&13), "thirteen");
        ensure!(!batch.token_ids.contains(&14), "fourteen");
        self.batches.lock().unwrap().push(batch.clone());
        Ok(batch.pair_segments().map(|segment| sum(&batch.prompt(segment))).collect())
    }

    fn fitting_tokens(&self) -> usize {
        self.most_tokens.unwrap_or(usize::MAX)
    }
}

fn sum(tokens: &[u32]) -> f32 {
    tokens.iter().sum::<u32>() as f32
}

/// A session of so many of these engines, and what its batches were.
fn session(engine: &Sums, engines: usize) -> (Session, Arc<Mutex<Vec<Answered>>>) {
    session_ahead(engine, engines, 1)
}

/// A session whose engines have so many batches at a time.
fn session_ahead(engine: &Sums, engines: usize, ahead: usize) -> (Session, Arc<Mutex<Vec<Answered>>>) {
    let computed = Arc::new(Mutex::new(Vec::new()));
    let watched = Arc::clone(&computed);
    let engines = (0..engines).map(|_| Box::new(engine.clone()) as Box<dyn Engine>).collect();
    let scheduling = Scheduling { ahead, limits: LIMITS, order: QueueOrder::Fair };
    (Session::start(engines, scheduling, None, move |batch| watched.lock().unwrap().push(batch)), computed)
}

fn submit(access: &Access, replies: &Sender<(usize, Scored)>, number: usize, prompts: &[&[u32]]) {
    let replies = replies.clone();
    let units = prompts.iter().map(|tokens| Unit::new(Prompt::whole(tokens.to_vec()), None)).collect();
    access.submit(units, move |scored| replies.send((number, scored)).unwrap());
}

#[test]
fn what_comes_while_a_caller_announces_more_shares_a_batch() {
    let engine = Sums::default();
    let (session, computed) = session(&engine, 1);
    let (sender, replies) = channel();
    let access = session.access();
    let hold = access.hold();
    for number in 0..5 {
        submit(&access, &sender, number, &[&[1, 2 + number as u32]]);
    }
    submit(&access, &sender, 5, &[]);
    let (number, scored) = replies.recv_timeout(PATIENCE).unwrap();
    assert_eq!((number, scored), (5, Scored { logits: Ok(Vec::new()), seconds: 0. }));
    assert!(engine.batches.lock().unwrap().is_empty());
    // These make a batch full.
    submit(&access, &sender, 6, &[&[1; 6], &[2; 6]]);
    let mut seen: Vec<usize> = (0..5).map(|_| replies.recv_timeout(PATIENCE).unwrap().0).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    drop(hold);
    assert_eq!(replies.recv_timeout(PATIENCE).unwrap().1.logits, Ok(vec![6., 12.]));
    assert!(session.finish().unwrap().is_empty());
    let computed = computed.lock().unwrap();
    let figures: Vec<_> = computed.iter().map(|batch| (batch.computed, batch.tokens, batch.prompt_tokens)).collect();
    assert_eq!(figures.iter().map(|figures| figures.0).sum::<u64>(), 7);
    assert_eq!(figures.iter().map(|figures| figures.2).sum::<u64>(), 22);
}

#[test]
fn every_request_is_replied_to_though_engines_fail_and_panic() {
    let (session, _) = session(&Sums::default(), 2);
    let (sender, replies) = channel();
    let access = session.access();
    let ask = |number: usize, tokens: &[u32]| {
        submit(&access, &sender, number, &[tokens]);
        let (answered, scored) = replies.recv_timeout(PATIENCE).unwrap();
        assert_eq!(answered, number);
        scored.logits
    };
    assert_eq!(ask(0, &[1, 2]), Ok(vec![3.]));
    assert_eq!(ask(1, &[14]), Err("fourteen".to_owned()));
    let panicked = Err("the thread that scored it has panicked".to_owned());
    assert_eq!(ask(2, &[13]), panicked);
    // The other engine goes on.
    assert_eq!(ask(3, &[1, 2]), Ok(vec![3.]));
    assert_eq!(ask(4, &[13]), panicked);
    assert_eq!(ask(5, &[1, 2]), panicked);
}

#[test]
fn batches_that_wait_for_a_thread_that_has_panicked_are_given_up() {
    let (open, gate) = channel();
    let engine = Sums { gate: Some(Arc::new(Mutex::new(gate))), ..Sums::default() };
    let (session, _) = session_ahead(&engine, 1, 2);
    let (sender, replies) = channel();
    let access = session.access();
    submit(&access, &sender, 0, &[&[13; 20]]);
    submit(&access, &sender, 1, &[&[2; 20]]);
    // Only what is replied to at once is known to come after the other two: both batches are handed out then.
    submit(&access, &sender, 2, &[]);
    assert_eq!(replies.recv_timeout(PATIENCE).unwrap().0, 2);
    open.send(()).unwrap();
    for _ in 0..2 {
        let (_, scored) = replies.recv_timeout(PATIENCE).unwrap();
        assert_eq!(scored.logits, Err("the thread that scored it has panicked".to_owned()));
    }
    let (stopped, is_stopped) = channel();
    access.stop(move || stopped.send(()).unwrap());
    is_stopped.recv_timeout(PATIENCE).unwrap();
    session.finish().unwrap();
}

#[test]
fn a_stop_lets_the_batch_at_hand_finish() {
    let (open, gate) = channel();
    let engine = Sums { gate: Some(Arc::new(Mutex::new(gate))), ..Sums::default() };
    let (session, _) = session(&engine, 1);
    let (sender, replies) = channel();
    let access = session.access();
    submit(&access, &sender, 0, &[&[1; 20]]);
    submit(&access, &sender, 1, &[&[2; 20]]);
    let (stopped, is_stopped) = channel();
    access.stop(move || stopped.send(()).unwrap());
    submit(&access, &sender, 2, &[&[3; 20]]);
    drop(sender);
    assert!(is_stopped.try_recv().is_err());
    open.send(()).unwrap();
    is_stopped.recv_timeout(PATIENCE).unwrap();
    let replies: Vec<_> = replies.iter().map(|(number, scored)| (number, scored.logits)).collect();
    assert_eq!(replies, [(0, Ok(vec![20.]))], "the others are dropped");
}

#[test]
fn a_device_with_too_little_memory_gets_smaller_batches() {
    let engine = Sums { most_tokens: Some(6), ..Sums::default() };
    let (session, _) = session(&engine, 1);
    let (sender, replies) = channel();
    for number in 0..2 {
        submit(&session.access(), &sender, number, &[&[1, 1, number as u32], &[2; 3], &[3; 3], &[4; 3], &[5; 3]]);
        replies.recv_timeout(PATIENCE).unwrap();
    }
    let tokens: Vec<usize> = engine.batches.lock().unwrap().iter().map(|batch| batch.token_ids.len()).collect();
    assert_eq!(tokens, [15, 6, 6, 3]);
}

#[test]
fn a_small_request_need_not_wait_for_a_large_one() {
    let (open, gate) = channel();
    let engine = Sums { gate: Some(Arc::new(Mutex::new(gate))), ..Sums::default() };
    let (session, _) = session(&engine, 1);
    let (sender, replies) = channel();
    let access = session.access();
    let large: Vec<[u32; 20]> = (0..9).map(|token| [token; 20]).collect();
    submit(&access, &sender, 0, &large.iter().map(<[u32; 20]>::as_slice).collect::<Vec<_>>());
    submit(&access, &sender, 1, &[&[9; 20]]);
    (0..10).for_each(|_| open.send(()).unwrap());
    let replied: Vec<usize> = (0..2).map(|_| replies.recv_timeout(PATIENCE).unwrap().0).collect();
    assert_eq!(replied, [1, 0]);
}

#[test]
fn of_a_cancelled_request_only_what_others_need_is_scored() {
    let (open, gate) = channel();
    let engine = Sums { gate: Some(Arc::new(Mutex::new(gate))), ..Sums::default() };
    let (session, _) = session(&engine, 1);
    let (sender, replies) = channel();
    let access = session.access();
    // It is at hand when the others come.
    submit(&access, &sender, 0, &[&[1; 20]]);
    let units = [[2; 20], [3; 20]].map(|tokens| Unit::new(Prompt::whole(tokens.to_vec()), None)).to_vec();
    let cancelled = access.submit(units, |_| panic!("nobody waits for it"));
    submit(&access, &sender, 2, &[&[3; 20], &[4; 20]]);
    access.cancel(cancelled);
    (0..9).for_each(|_| open.send(()).unwrap());
    drop(sender);
    let replies: Vec<_> = (0..2).map(|_| replies.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(
        replies.into_iter().map(|(_, scored)| scored.logits.unwrap()).collect::<Vec<_>>(),
        [vec![20.], vec![60., 80.]]
    );
    session.finish().unwrap();
    let mut scored: Vec<u32> = engine.batches.lock().unwrap().iter().map(|batch| batch.token_ids[0]).collect();
    scored.sort_unstable();
    assert_eq!(scored, [1, 3, 4]);
}

#[test]
fn of_equal_requests_that_are_all_cancelled_nothing_is_scored() {
    let (open, gate) = channel();
    let engine = Sums { gate: Some(Arc::new(Mutex::new(gate))), ..Sums::default() };
    let (session, _) = session(&engine, 1);
    let (sender, replies) = channel();
    let access = session.access();
    // It is at hand when the others come.
    submit(&access, &sender, 0, &[&[1; 20]]);
    let tokens: [[u32; 20]; 4] = [[1; 20], [2; 20], [3; 20], [2; 20]];
    let units = tokens.map(|tokens| Unit::new(Prompt::whole(tokens.to_vec()), None)).to_vec();
    let equal: Vec<RequestId> =
        (0..3).map(|_| access.submit(units.clone(), |_| panic!("nobody waits for it"))).collect();
    equal.into_iter().for_each(|request| access.cancel(request));
    submit(&access, &sender, 1, &[&[4; 20]]);
    (0..9).for_each(|_| open.send(()).unwrap());
    let logits: Vec<_> = (0..2).map(|_| replies.recv_timeout(PATIENCE).unwrap().1.logits.unwrap()).collect();
    assert_eq!(logits, [vec![20.], vec![80.]]);
    session.finish().unwrap();
    let scored: Vec<u32> = engine.batches.lock().unwrap().iter().map(|batch| batch.token_ids[0]).collect();
    assert_eq!(scored, [1, 4]);
}

proptest! {
    #[test]
    fn whoever_is_cancelled_all_others_are_replied_to(
        requests in proptest::collection::vec(
            (proptest::collection::vec(proptest::collection::vec(0u32..3, 1..4), 1..6), any::<bool>()),
            1..12,
        ),
        engines in 1usize..3,
    ) {
        let (session, _) = session(&Sums::default(), engines);
        let (sender, replies) = channel();
        let access = session.access();
        let hold = access.hold();
        let cancelled = requests.iter().enumerate().filter_map(|(number, (prompts, is_cancelled))| {
            let replies = sender.clone();
            let units = prompts.iter().map(|tokens| Unit::new(Prompt::whole(tokens.clone()), None)).collect();
            let request = access.submit(units, move |scored| replies.send((number, scored)).unwrap());
            is_cancelled.then_some(request)
        });
        cancelled.collect::<Vec<_>>().into_iter().for_each(|request| access.cancel(request));
        drop((hold, sender));
        let mut logits = vec![None; requests.len()];
        // It ends when the last request is gone, whether it was scored or cancelled.
        for (number, scored) in replies.iter() {
            prop_assert!(logits[number].replace(scored.logits.unwrap()).is_none());
        }
        for ((prompts, is_cancelled), logits) in requests.iter().zip(&logits) {
            let expected: Vec<f32> = prompts.iter().map(|tokens| sum(tokens)).collect();
            prop_assert!(logits.as_ref() == Some(&expected) || *is_cancelled && logits.is_none());
        }
        session.finish().unwrap();
    }

    #[test]
    fn equal_prompts_are_scored_once(
        requests in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(0u32..3, 1..4), 0..6),
            0..12,
        ),
        engines in 1usize..4,
    ) {
        let (session, computed) = session(&Sums::default(), engines);
        let (sender, replies) = channel();
        let access = session.access();
        for (number, prompts) in requests.iter().enumerate() {
            let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
            submit(&access, &sender, number, &prompts);
        }
        drop(sender);
        let mut logits = vec![None; requests.len()];
        for (number, scored) in replies.iter() {
            prop_assert!(logits[number].replace(scored.logits.unwrap()).is_none());
        }
        for (prompts, logits) in requests.iter().zip(&logits) {
            let expected: Vec<f32> = prompts.iter().map(|tokens| sum(tokens)).collect();
            prop_assert_eq!(logits.as_ref(), Some(&expected));
        }
        session.finish().unwrap();
        let computed = computed.lock().unwrap();
        let pairs: u64 = computed.iter().map(|batch| batch.computed + batch.equal).sum();
        prop_assert_eq!(pairs, requests.iter().flatten().count() as u64);
    }

    #[test]
    fn equal_prompts_of_a_request_are_computed_once(prompts in proptest::collection::vec(proptest::collection::vec(0u32..2, 1..3), 1..20)) {
        let (session, computed) = session(&Sums::default(), 1);
        let (sender, replies) = channel();
        submit(&session.access(), &sender, 0, &prompts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        replies.recv_timeout(PATIENCE).unwrap();
        session.finish().unwrap();
        let distinct: std::collections::HashSet<_> = prompts.iter().collect();
        let pairs: u64 = computed.lock().unwrap().iter().map(|batch| batch.computed).sum();
        prop_assert_eq!(pairs, distinct.len() as u64);
    }
}
