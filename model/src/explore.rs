//! One exploration: stateright visits every reachable state and judges it, and the graph of its steps is walked backwards afterwards.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::graph::{Graph, print};

/// Name of the invariant that is judged on the whole graph.
pub const PROGRESS: &str = "I9 possible progress";

/// An invariant of one state.
pub struct Law<S: Scenario> {
    /// Its name, such as `I2 chain`.
    pub name: &'static str,
    /// What breaks it in this state, if anything does.
    pub broken: fn(&S, &S::State) -> Option<String>,
}

/// A world with the production state machines in it, in which anything may happen next.
pub trait Scenario: Send + Sync + 'static {
    /// Where everything stands; small, since millions are kept.
    type State: Clone + PartialEq + Hash + fmt::Debug + Send + Sync + 'static;
    /// Something that may happen.
    type Action: Clone + PartialEq + fmt::Debug + Send + Sync + 'static;

    /// Where it begins.
    fn beginnings(&self) -> Vec<Self::State>;
    /// What may happen next.
    fn possible(&self, state: &Self::State, actions: &mut Vec<Self::Action>);
    /// What comes of it; `None` when nothing changes.
    fn next(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;
    /// What must hold in every state.
    fn laws(&self) -> Vec<Law<Self>>
    where
        Self: Sized;
    /// Whether all there was to do is done, or stands still for a reason that the scenario allows.
    fn is_finished(&self, state: &Self::State) -> bool;
    /// Whether every fault that may happen has happened, as often as it may.
    fn is_spent(&self, state: &Self::State) -> bool;
    /// The beginning in words.
    fn opening(&self, state: &Self::State) -> Vec<String>;
    /// A step in words.
    fn tell(&self, before: &Self::State, action: &Self::Action, after: &Self::State) -> String;
}

/// How to explore.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Threads.
    pub threads: usize,
    /// Stop at this law's first violation: for mutants, of which one is enough.
    pub until: Option<&'static str>,
    /// Collect the graph and judge [`PROGRESS`].
    pub progress: bool,
}

/// A way from a beginning to a state that must not be.
#[derive(Debug, Clone)]
pub struct Counterexample {
    /// What is broken there.
    pub law: &'static str,
    /// What shows it.
    pub evidence: String,
    /// The beginning in words.
    pub opening: Vec<String>,
    /// The steps in words.
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.opening {
            writeln!(f, "      {line}")?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {:>2}  {step}", index + 1)?;
        }
        write!(f, "  =>  {}: {}", self.law, self.evidence)
    }
}

/// What an exploration found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Different states.
    pub states: usize,
    /// Steps of the longest of the shortest ways.
    pub depth: usize,
    /// How long it took.
    pub seconds: f64,
    /// How many states are finished; 0 when the graph was not collected.
    pub finished: usize,
    /// How many states are finished although every fault that may happen has happened, as often as it may; 0 when the graph was not
    /// collected.
    pub recovered: usize,
    /// Explorations in which there is no such state: their bounds promise more than they hold.
    pub idle: usize,
    /// From how many states nobody can finish.
    pub stuck: usize,
    /// What is broken, one for each law.
    pub counterexamples: Vec<Counterexample>,
}

impl Findings {
    /// Adds what another exploration, of other states, found.
    pub fn add(&mut self, other: Findings) {
        self.states += other.states;
        self.depth = self.depth.max(other.depth);
        self.seconds += other.seconds;
        self.finished += other.finished;
        self.recovered += other.recovered;
        self.idle += other.idle;
        self.stuck += other.stuck;
        self.counterexamples.extend(other.counterexamples);
    }
}

/// Lets stateright drive a scenario, and keeps the graph if it is wanted.
struct Watched<S: Scenario> {
    scenario: Arc<S>,
    /// Nothing follows a state that breaks the wanted law: the shortest story is the best one.
    stops: Option<usize>,
    laws: Vec<Law<S>>,
    graph: Option<Arc<Graph>>,
}

/// A law as stateright takes it.
type Judge<S> = fn(&Watched<S>, &<S as Scenario>::State) -> bool;

thread_local! {
    /// Print of the state whose steps this thread takes at present.
    static FROM: Cell<u64> = const { Cell::new(0) };
}

impl<S: Scenario> Model for Watched<S> {
    type State = S::State;
    type Action = S::Action;

    fn init_states(&self) -> Vec<S::State> {
        self.scenario.beginnings()
    }

    fn actions(&self, state: &S::State, actions: &mut Vec<S::Action>) {
        if let Some(graph) = &self.graph {
            FROM.set(print(state));
            if self.scenario.is_finished(state) {
                graph.finished(FROM.get(), self.scenario.is_spent(state));
            }
        }
        if self.stops.is_none_or(|law| self.holds(law, state)) {
            self.scenario.possible(state, actions);
        }
    }

    fn next_state(&self, state: &S::State, action: S::Action) -> Option<S::State> {
        let next = self.scenario.next(state, &action)?;
        if let Some(graph) = &self.graph {
            graph.edge(FROM.get(), print(&next));
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // Stateright takes plain functions, so each knows its law by its place.
        const JUDGES: usize = 8;
        let judges: [Judge<S>; JUDGES] = [
            |model, state| model.holds(0, state),
            |model, state| model.holds(1, state),
            |model, state| model.holds(2, state),
            |model, state| model.holds(3, state),
            |model, state| model.holds(4, state),
            |model, state| model.holds(5, state),
            |model, state| model.holds(6, state),
            |model, state| model.holds(7, state),
        ];
        assert!(self.laws.len() <= JUDGES, "a scenario has at most {JUDGES} laws");
        self.laws
            .iter()
            .zip(judges)
            .map(|(law, judge)| Property::always(law.name, judge))
            .collect()
    }
}

impl<S: Scenario> Watched<S> {
    fn holds(&self, index: usize, state: &S::State) -> bool {
        (self.laws[index].broken)(&self.scenario, state).is_none()
    }
}

/// Explores a scenario to its end, or until the wanted violation is found.
pub fn explore<S: Scenario>(scenario: S, manner: Manner) -> Findings {
    let started = Instant::now();
    let scenario = Arc::new(scenario);
    let graph = manner.progress.then(|| Arc::new(Graph::default()));
    let watched = Watched {
        scenario: Arc::clone(&scenario),
        stops: scenario.laws().iter().position(|law| Some(law.name) == manner.until),
        laws: scenario.laws(),
        graph: graph.clone(),
    };
    let stop = match manner.until {
        Some(law) => HasDiscoveries::AnyOf(BTreeSet::from([law])),
        None => HasDiscoveries::All,
    };
    let checker = watched
        .checker()
        .threads(manner.threads)
        .finish_when(stop)
        .spawn_bfs()
        .join();
    let mut findings = Findings {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: 0.0,
        finished: 0,
        recovered: 0,
        idle: 0,
        stuck: 0,
        counterexamples: Vec::new(),
    };
    for law in scenario.laws() {
        let Some(path) = checker.discovery(law.name) else {
            continue;
        };
        let way: Vec<S::State> = path.into_states();
        let evidence = way.last().and_then(|last| (law.broken)(&scenario, last));
        findings
            .counterexamples
            .push(story(&*scenario, law.name, evidence.unwrap_or_default(), &way));
    }
    drop(checker);
    if let Some(graph) = graph.filter(|_| findings.counterexamples.is_empty()) {
        let first: Vec<u64> = scenario.beginnings().iter().map(print).collect();
        let walk = graph.walk(&first);
        findings.stuck = walk.stuck;
        findings.finished = walk.finished;
        findings.recovered = graph.recovered();
        findings.idle = usize::from(findings.recovered == 0);
        if walk.stuck > 0 {
            let evidence = format!("from here (and from {} states in all) nobody can finish", walk.stuck);
            let way = retrace(&*scenario, &walk.way);
            findings
                .counterexamples
                .push(story(&*scenario, PROGRESS, evidence, &way));
        }
    }
    findings.seconds = started.elapsed().as_secs_f64();
    findings
}

/// The states behind the prints of a way.
fn retrace<S: Scenario>(scenario: &S, prints: &[u64]) -> Vec<S::State> {
    let mut way: Vec<S::State> = Vec::new();
    for wanted in prints {
        let candidates = match way.last() {
            None => scenario.beginnings(),
            Some(state) => steps(scenario, state).into_iter().map(|(_, next)| next).collect(),
        };
        way.extend(candidates.into_iter().find(|state| print(state) == *wanted));
    }
    way
}

fn steps<S: Scenario>(scenario: &S, state: &S::State) -> Vec<(S::Action, S::State)> {
    let mut actions = Vec::new();
    scenario.possible(state, &mut actions);
    let mut steps = Vec::new();
    for action in actions {
        if let Some(next) = scenario.next(state, &action) {
            steps.push((action, next));
        }
    }
    steps
}

fn story<S: Scenario>(scenario: &S, law: &'static str, evidence: String, way: &[S::State]) -> Counterexample {
    let tell = |pair: &[S::State]| {
        let taken = steps(scenario, &pair[0]).into_iter().find(|(_, next)| *next == pair[1]);
        taken.map(|(action, next)| scenario.tell(&pair[0], &action, &next))
    };
    Counterexample {
        law,
        evidence,
        opening: way.first().map(|first| scenario.opening(first)).unwrap_or_default(),
        steps: way.windows(2).filter_map(tell).collect(),
    }
}
