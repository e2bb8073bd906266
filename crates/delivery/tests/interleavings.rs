//! Attack row 18: every interleaving of three workers, two jobs, crashes and lost time, in a model of a delivery.
//!
//! The jobs are real [`Job`]s. Around them stand a model of workers (look for a job, claim it, publish, finish), of an
//! output store that puts only if absent, and of a clock that jumps a whole lease. At every point each worker may take
//! its next step, stall, stumble or die. Finding a job and claiming it are two steps, as in a ledger without
//! transactions, so what holds here holds for every ledger that makes moves one at a time.
//!
//! In every state reached, checks are made that no zombie wrote, that no output appeared twice or from a poisoned file,
//! and that a lone new worker would settle everything from there: no job lost, no lease stuck. Deliberately broken
//! deliveries, one for each rule, must be caught by the same search.

mod support;

use std::collections::HashSet;
use std::time::Duration;
use support::{START, job, policy, receipt};
use waxwing_delivery::{
    Event, FailureClass, Fence, Job, JobError, Policy, RetryCause, State, Status, UnixMillis,
};

const JOBS: usize = 2;
const WORKERS: usize = 3;
/// Far above what the searches below visit; a model that grows beyond all bounds fails rather than hangs.
const STATES_MAX: usize = 2_000_000;
/// A lone worker settles two jobs in far fewer turns.
const RESCUE_TURNS_MAX: usize = 40;

/// What to search.
#[derive(Debug, Clone, Copy)]
struct Search {
    attempts_max: u32,
    crashes: u8,
    /// How often the clock may jump by a lease.
    jumps: u8,
    /// How often a worker may stumble and hand in a retry.
    stumbles: u8,
    /// Whether the second job's file is poisoned.
    poisoned: bool,
    flaw: Option<Flaw>,
}

/// What is deliberately broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// The ledger takes the writer's word for holding the lease.
    TokenUnchecked,
    /// The output store overwrites.
    PutUnconditionally,
    /// A worker says that it is finished, then publishes.
    FinishFirst,
    /// The ledger offers only pending jobs: a lease never ends.
    LeasesForEver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Worker {
    Idle,
    Found {
        job: usize,
    },
    Holds(Hold),
    Published(Hold),
    /// Only with [`Flaw::FinishFirst`].
    FinishedUnpublished(Hold),
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Hold {
    job: usize,
    /// What the worker presents.
    fence: Fence,
    /// What it truly has: the number of the claim, counted by the model and not by the machine.
    claim: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Jump,
    Crash { worker: usize },
    Stumble { worker: usize },
    Heartbeat { worker: usize },
    Look { worker: usize, job: usize },
    Advance { worker: usize },
}

#[derive(Debug, Clone)]
struct World {
    jobs: [Job; JOBS],
    workers: [Worker; WORKERS],
    /// How often each output appeared.
    outputs: [u8; JOBS],
    claims: [u64; JOBS],
    now: UnixMillis,
    crashes: u8,
    jumps: u8,
    stumbles: u8,
    trail: Vec<Step>,
}

/// What the search has seen; shows that it looked where it should.
#[derive(Debug, Default)]
struct Seen {
    states: usize,
    zombies_refused: usize,
    second_outputs_refused: usize,
    done: usize,
    exhausted: usize,
}

impl Search {
    fn policy(&self) -> Policy {
        Policy { attempts_max: self.attempts_max, backoff_base: Duration::ZERO, ..policy() }
    }

    /// Visits every state once. `Err` tells what is wrong and how the search came there.
    fn run(&self) -> Result<Seen, String> {
        let start = World {
            jobs: [job("a", START), job("b", START)],
            workers: [Worker::Idle; WORKERS],
            outputs: [0; JOBS],
            claims: [0; JOBS],
            now: START,
            crashes: self.crashes,
            jumps: self.jumps,
            stumbles: self.stumbles,
            trail: Vec::new(),
        };
        let mut seen = Seen::default();
        let mut visited = HashSet::from([start.key()]);
        let mut open = vec![start];
        while let Some(world) = open.pop() {
            seen.states += 1;
            assert!(seen.states < STATES_MAX, "the model has grown beyond the search");
            self.check(&world, &mut seen).map_err(|wrong| format!("{wrong} after {:?}", world.trail))?;
            for step in self.steps(&world) {
                let mut next = world.clone();
                next.trail.push(step);
                self.take(&mut next, step, &mut seen)
                    .map_err(|wrong| format!("{wrong} after {:?}", next.trail))?;
                if visited.insert(next.key()) {
                    open.push(next);
                }
            }
        }
        Ok(seen)
    }

    /// Everything that may happen next.
    fn steps(&self, world: &World) -> Vec<Step> {
        let mut steps = Vec::new();
        if world.jumps > 0 {
            steps.push(Step::Jump);
        }
        for (worker, doing) in world.workers.iter().enumerate() {
            match doing {
                Worker::Dead => continue,
                Worker::Idle => {
                    steps.extend(
                        (0..JOBS)
                            .filter(|&job| self.offers(world, job))
                            .map(|job| Step::Look { worker, job }),
                    );
                }
                Worker::Holds(_) => {
                    steps.extend([Step::Advance { worker }, Step::Heartbeat { worker }]);
                    if world.stumbles > 0 {
                        steps.push(Step::Stumble { worker });
                    }
                }
                _ => steps.push(Step::Advance { worker }),
            }
            if world.crashes > 0 {
                steps.push(Step::Crash { worker });
            }
        }
        steps
    }

    /// Whether the ledger would offer the job to someone who looks.
    fn offers(&self, world: &World, job: usize) -> bool {
        let job = &world.jobs[job];
        let leased_for_ever = self.flaw == Some(Flaw::LeasesForEver) && job.status() == Status::Leased;
        !leased_for_ever && job.due_at().is_some_and(|due| due <= world.now)
    }

    fn take(&self, world: &mut World, step: Step, seen: &mut Seen) -> Result<(), String> {
        match step {
            Step::Jump => {
                world.jumps -= 1;
                world.now = world.now.plus(self.policy().lease);
            }
            Step::Crash { worker } => {
                world.crashes -= 1;
                world.workers[worker] = Worker::Dead;
            }
            Step::Look { worker, job } => world.workers[worker] = Worker::Found { job },
            Step::Stumble { worker } => {
                world.stumbles -= 1;
                let hold = world.hold(worker);
                self.write(world, hold, |fence| Event::Retry(fence, RetryCause::Worker), seen)?;
                world.workers[worker] = Worker::Idle;
            }
            Step::Heartbeat { worker } => {
                let hold = world.hold(worker);
                if !self.write(world, hold, Event::Heartbeat, seen)? {
                    world.workers[worker] = Worker::Idle;
                }
            }
            Step::Advance { worker } => world.workers[worker] = self.advance(world, worker, seen)?,
        }
        Ok(())
    }

    /// The worker's next step when all goes well.
    fn advance(&self, world: &mut World, worker: usize, seen: &mut Seen) -> Result<Worker, String> {
        let finish = |fence| Event::Finish(fence, receipt());
        Ok(match world.workers[worker] {
            Worker::Found { job } => self.claim(world, job)?.map_or(Worker::Idle, Worker::Holds),
            Worker::Holds(hold) if self.poisoned && hold.job == 1 => {
                self.write(world, hold, |fence| Event::Fail(fence, FailureClass::Rejected), seen)?;
                Worker::Idle
            }
            Worker::Holds(hold) if self.flaw == Some(Flaw::FinishFirst) => {
                let finished = self.write(world, hold, finish, seen)?;
                if finished { Worker::FinishedUnpublished(hold) } else { Worker::Idle }
            }
            Worker::Holds(hold) => {
                self.publish(world, hold.job, seen);
                Worker::Published(hold)
            }
            Worker::Published(hold) => {
                self.write(world, hold, finish, seen)?;
                Worker::Idle
            }
            Worker::FinishedUnpublished(hold) => {
                self.publish(world, hold.job, seen);
                Worker::Idle
            }
            Worker::Idle | Worker::Dead => unreachable!("they have no next step"),
        })
    }

    fn claim(&self, world: &mut World, job: usize) -> Result<Option<Hold>, String> {
        let event = Event::Claim { worker: "w".parse().unwrap() };
        let claimed = world.jobs[job].apply(event, world.now, &self.policy());
        match claimed {
            Ok(()) => {
                world.claims[job] += 1;
                Ok(Some(Hold { job, fence: world.jobs[job].fence(), claim: world.claims[job] }))
            }
            Err(JobError::Exhausted { .. }) => {
                let expired = world.jobs[job].apply(Event::Expire, world.now, &self.policy());
                expired.map(|()| None).map_err(|error| format!("an exhausted job does not expire: {error}"))
            }
            Err(JobError::NotDue { .. } | JobError::Settled) => Ok(None),
            Err(error) => Err(format!("a claim was refused: {error}")),
        }
    }

    /// A write by a holder; `false` if its lease is lost. What the model knows decides whether that is right.
    fn write(
        &self,
        world: &mut World,
        hold: Hold,
        event: impl Fn(Fence) -> Event,
        seen: &mut Seen,
    ) -> Result<bool, String> {
        let job = &mut world.jobs[hold.job];
        let fence = if self.flaw == Some(Flaw::TokenUnchecked) { job.fence() } else { hold.fence };
        match job.apply(event(fence), world.now, &self.policy()) {
            Ok(()) if hold.claim != world.claims[hold.job] => Err("a zombie wrote".into()),
            Ok(()) => Ok(true),
            Err(JobError::LeaseLost) => {
                seen.zombies_refused += 1;
                Ok(false)
            }
            Err(error) => Err(format!("a holder's write was refused: {error}")),
        }
    }

    fn publish(&self, world: &mut World, job: usize, seen: &mut Seen) {
        if world.outputs[job] == 0 || self.flaw == Some(Flaw::PutUnconditionally) {
            world.outputs[job] += 1;
        } else {
            seen.second_outputs_refused += 1;
        }
    }

    /// What must hold in every state.
    fn check(&self, world: &World, seen: &mut Seen) -> Result<(), String> {
        if world.outputs.iter().any(|&times| times > 1) {
            return Err("an output appeared twice".into());
        }
        if self.poisoned && world.outputs[1] > 0 {
            return Err("a poisoned file was published".into());
        }
        let settled = self.rescue(world)?;
        for (index, job) in settled.jobs.iter().enumerate() {
            match job.state() {
                State::Done { .. } if settled.outputs[index] == 1 => seen.done += 1,
                State::Done { .. } => {
                    return Err(format!("done, but published {} times", settled.outputs[index]));
                }
                State::Failed { failure: FailureClass::Attempts } if job.attempts() == self.attempts_max => {
                    seen.exhausted += 1;
                }
                State::Failed { failure: FailureClass::Rejected } if self.poisoned && index == 1 => {}
                state => return Err(format!("ended as {state:?}")),
            }
        }
        Ok(())
    }

    /// Lets everyone else stall for ever and one new worker do what is left.
    fn rescue(&self, world: &World) -> Result<World, String> {
        let mut world = World { workers: [Worker::Dead; WORKERS], ..world.clone() };
        let ignored = &mut Seen::default();
        for _ in 0..RESCUE_TURNS_MAX {
            if world.jobs.iter().all(|job| job.due_at().is_none()) {
                return Ok(world);
            }
            world.workers[0] = match (0..JOBS).find(|&job| self.offers(&world, job)) {
                Some(job) => Worker::Found { job },
                None => {
                    world.now = world.now.plus(self.policy().lease);
                    continue;
                }
            };
            while world.workers[0] != Worker::Idle {
                world.workers[0] = self.advance(&mut world, 0, ignored)?;
            }
        }
        Err("a job is stuck".into())
    }
}

impl World {
    fn hold(&self, worker: usize) -> Hold {
        match self.workers[worker] {
            Worker::Holds(hold) => hold,
            other => unreachable!("only a holder's steps come here, not {other:?}'s"),
        }
    }

    /// All that matters for what may come. Workers are alike, so their order does not.
    fn key(&self) -> impl Eq + std::hash::Hash + use<> {
        let jobs = self.jobs.each_ref().map(|job| (job.status(), job.fence(), job.attempts(), job.due_at()));
        let mut workers = self.workers;
        workers.sort_unstable();
        (jobs, workers, self.outputs, self.claims, self.now, (self.crashes, self.jumps, self.stumbles))
    }
}

const SEARCH: Search =
    Search { attempts_max: 10, crashes: 2, jumps: 2, stumbles: 1, poisoned: false, flaw: None };

#[test]
fn row_18_every_job_is_done_and_published_exactly_once() {
    let seen = SEARCH.run().unwrap();
    assert!(seen.states > 10_000 && seen.zombies_refused > 0 && seen.second_outputs_refused > 0, "{seen:?}");
    assert_eq!((seen.done, seen.exhausted), (seen.states * JOBS, 0));
}

#[test]
fn row_18_jobs_that_run_out_of_attempts_end() {
    let seen = Search { attempts_max: 2, ..SEARCH }.run().unwrap();
    assert!(seen.states > 10_000 && seen.done > 0 && seen.exhausted > 0, "{seen:?}");
}

#[test]
fn row_18_a_poisoned_file_is_never_published() {
    let seen = Search { poisoned: true, ..SEARCH }.run().unwrap();
    assert!(seen.states > 10_000 && seen.zombies_refused > 0, "{seen:?}");
    assert_eq!((seen.done, seen.exhausted), (seen.states, 0));
}

/// The controls: a search that finds nothing proves nothing unless it finds these.
#[test]
fn row_18_the_search_catches_broken_deliveries() {
    for (flaw, complaint) in [
        (Flaw::TokenUnchecked, "a zombie wrote"),
        (Flaw::PutUnconditionally, "done, but published 2 times"),
        (Flaw::FinishFirst, "done, but published 0 times"),
        (Flaw::LeasesForEver, "a job is stuck"),
    ] {
        let caught = Search { flaw: Some(flaw), ..SEARCH }.run().unwrap_err();
        assert!(caught.starts_with(complaint), "{flaw:?}: {caught}");
    }
}
