//! How a deed is carried out at a point, while data flows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use spolt_tests::warehouse::Warehouse;

use super::points::{Asked, Cell, Point};
use super::{collect, operate};
use crate::drill::{Context, Deed, NotReached, Skipped};
use crate::flow::{EVOLVES_AT, Flow};
use crate::member::{Member, REACH, Role, Start};
use crate::net::{Act, Net, Part};
use crate::stage::{APPEND, Stage, UPSERT};

/// Longer than the session of 6 s that the drills configure, so that the group has given the work away.
const PAUSE: Duration = Duration::from_secs(9);

/// How long the network stays cut: connections fail, retries fail, sessions live.
const CUT: Duration = Duration::from_secs(3);

/// How long a task is held before the network is cut: whatever does not wait for it goes ahead meanwhile.
const HELD: Duration = Duration::from_secs(3);

/// Rounds of workload after a deed, so that the daemons go on under load.
const AFTER: u32 = 15;

/// A daemon that has been reached at its point.
struct Reached {
    victim: Member,
    net: Arc<Net>,
    /// The failpoint that holds, if one does.
    held: Option<&'static str>,
    /// The part at which a request is held, if one is.
    gate: Option<Part>,
    /// What else runs of the same role.
    second: Option<Member>,
}

/// One drill from the first record to the judgement.
pub(super) async fn out(context: Context, point: &'static Point, deed: Deed) -> Result<()> {
    let mut stage = Stage::set(&context).await?;
    let net = Net::start(context.parts()).await;
    let net = Arc::new(net.map_err(|error| Skipped(format!("{error:#}")))?);
    let mut others = others(&mut stage, point.role);
    let flow = stage.flow();
    // A table changed meanwhile would stop the first loader by itself, lock or no lock.
    flow.hold_schema(deed == Deed::Pause && point.leaves_the_table_free());
    if point.role.is_command() {
        stage.loads_begin(&context, &[UPSERT, APPEND]).await?;
    }
    if point.role == Role::Operator {
        operate::lose(&context, &mut stage, &flow, &mut others).await?;
    }
    let members = match point.cell(deed) {
        Cell::No(reason) => bail!("does not apply: {reason}"),
        Cell::Failover => failover(&context, &stage, net).await?,
        Cell::Fails(failpoint, hits) => {
            let (reached, nth) = at(&context, &stage, net, point, failpoint, hits, "error").await?;
            context.did(format!(
                "{failpoint} hit {nth}: the effect is done, its outcome reported as unknown"
            ));
            vec![reached.victim]
        }
        Cell::At(failpoint, hits) => {
            let (reached, nth) = at(&context, &stage, net, point, failpoint, hits, failpoint_deed(deed)).await?;
            context.did(format!("{failpoint} hit {nth}: {}", words(deed)));
            carry(&context, &stage, &flow, point, reached, deed).await?
        }
        Cell::AfterLostPut(failpoint) => {
            let nth = context.choose("lost put", 4, 12);
            net.gate(Part::S3).arm(".csv", nth, Act::LoseAnswer);
            context.did(format!(
                "the answer to PUT {nth} is lost, so its repetition is answered 412"
            ));
            let (reached, _) = at(&context, &stage, net, point, failpoint, (1, 1), failpoint_deed(deed)).await?;
            context.did(format!("{failpoint}: {}", words(deed)));
            carry(&context, &stage, &flow, point, reached, deed).await?
        }
        Cell::Asked(asked) | Cell::AskedInRevoke(asked) => {
            let revoke = matches!(point.cell(deed), Cell::AskedInRevoke(_));
            let reached = asks(&context, &stage, net, point, &asked, revoke).await?;
            if deed == Deed::LostAck {
                reached.second.into_iter().chain([reached.victim]).collect()
            } else {
                context.did(words(deed));
                carry(&context, &stage, &flow, point, reached, deed).await?
            }
        }
        Cell::Anytime => {
            let reached = anytime(&context, &stage, &flow, net, point).await?;
            context.did(words(deed));
            carry(&context, &stage, &flow, point, reached, deed).await?
        }
    };
    flow.go_on(AFTER).await?;
    let members = match point.role {
        Role::Writer | Role::Loader => members,
        Role::Collector => collect::again(&context, &stage, members).await?,
        Role::Operator => operate::again(&context, &stage, members).await?,
    };
    let rounds = flow.finish().await?;
    context.did(format!("workload ended after {rounds} rounds"));
    stage.judge(members.into_iter().chain(others).collect()).await
}

/// Starts whoever is not struck.
fn others(stage: &mut Stage, struck: Role) -> Vec<Member> {
    let roles: &[Role] = match struck {
        Role::Writer => &[Role::Loader],
        Role::Loader => &[Role::Writer],
        Role::Collector => {
            stage.collects();
            &[Role::Writer, Role::Loader]
        }
        Role::Operator => &[Role::Writer, Role::Loader],
    };
    roles
        .iter()
        .map(|role| stage.start(*role, role.name(), Start::default()))
        .collect()
}

fn failpoint_deed(deed: Deed) -> &'static str {
    match deed {
        Deed::Kill => "kill",
        Deed::Pause => "stop",
        Deed::Cut | Deed::LostAck => "hold",
    }
}

fn words(deed: Deed) -> &'static str {
    match deed {
        Deed::Kill => "kill -9, then started again",
        Deed::Pause => "stopped for 9 s (session 6 s) while a second one takes over, then continued",
        Deed::Cut => "network to all parts cut for 3 s",
        Deed::LostAck => "the acknowledgement is lost",
    }
}

/// Starts the victim with a failpoint and waits until it strikes.
async fn at(
    context: &Context,
    stage: &Stage,
    net: Arc<Net>,
    point: &Point,
    failpoint: &'static str,
    hits: (u32, u32),
    deed: &str,
) -> Result<(Reached, u32)> {
    let nth = context.choose("hit", hits.0, hits.1);
    let plan = format!("{failpoint}={deed}*{nth}");
    let start = Start {
        failpoints: &plan,
        net: Some(&net),
    };
    let mut victim = stage.start(point.role, "victim", start);
    if !victim.reaches(failpoint).await {
        let running = victim.is_running();
        return Err(NotReached(format!(
            "{failpoint} was not hit {nth} times in {} s; the daemon runs: {running}",
            REACH.as_secs()
        ))
        .into());
    }
    let reached = Reached {
        victim,
        net,
        held: (deed == "hold").then_some(failpoint),
        gate: None,
        second: None,
    };
    Ok((reached, nth))
}

/// Starts the victim and waits until the proxy strikes at its request; then, in a revoke, until a second one has joined.
async fn asks(
    context: &Context,
    stage: &Stage,
    net: Arc<Net>,
    point: &Point,
    asked: &Asked,
    revoke: bool,
) -> Result<Reached> {
    let nth = context.choose("request", asked.nth.0, asked.nth.1);
    net.gate(asked.part).arm(asked.needle, nth, asked.act);
    let start = Start {
        net: Some(&net),
        ..Start::default()
    };
    let victim = stage.start(point.role, "victim", start);
    if !net.gate(asked.part).struck(REACH).await {
        return Err(NotReached(format!(
            "request {nth} with `{}` did not come in {} s",
            asked.needle.trim(),
            REACH.as_secs()
        ))
        .into());
    }
    let act = match asked.act {
        Act::HoldRequest => "is held on its way",
        Act::HoldAnswer => "is carried out, its answer held",
        Act::LoseAnswer => "is carried out, its answer lost",
    };
    context.did(format!("request {nth} with `{}` {act}", asked.needle.trim()));
    let mut second = None;
    if revoke {
        let member = stage.start(point.role, "second", Start::default());
        takes_part(context, &member).await?;
        second = Some(member);
    }
    Ok(Reached {
        victim,
        net,
        held: None,
        gate: Some(asked.part),
        second,
    })
}

/// Waits until a second daemon has been given something to do.
async fn takes_part(context: &Context, member: &Member) -> Result<()> {
    let since = Instant::now();
    while !member.was_given_work() {
        ensure!(since.elapsed() < REACH, "the second daemon was given nothing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    context.did("a second daemon joins, and partitions are revoked");
    Ok(())
}

/// Lets the victim run for a while that the seed chooses, under load.
async fn anytime(context: &Context, stage: &Stage, flow: &Flow, net: Arc<Net>, point: &Point) -> Result<Reached> {
    let start = Start {
        net: Some(&net),
        ..Start::default()
    };
    let victim = stage.start(point.role, "victim", start);
    let since = Instant::now();
    while stage.claims_now() < 10 {
        if since.elapsed() > REACH {
            return Err(NotReached("no claims in time".to_owned()).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rounds = context.choose("rounds", 3, 12);
    flow.go_on(rounds).await?;
    tokio::time::sleep(Duration::from_millis(u64::from(context.choose("millis", 0, 300)))).await;
    context.did(format!("{rounds} rounds after its first claims, with records open"));
    Ok(Reached {
        victim,
        net,
        held: None,
        gate: None,
        second: None,
    })
}

/// Does the deed to a daemon that has reached its point; who runs afterwards.
async fn carry(
    context: &Context,
    stage: &Stage,
    flow: &Flow,
    point: &Point,
    reached: Reached,
    deed: Deed,
) -> Result<Vec<Member>> {
    let Reached {
        mut victim,
        net,
        held,
        gate,
        second,
    } = reached;
    let role = victim.role();
    let let_go = |victim: &Member| {
        held.into_iter().for_each(|point| victim.release(point));
        gate.into_iter().for_each(|part| net.gate(part).release());
    };
    match deed {
        Deed::Kill => {
            // A failpoint kills by itself; what is held at a proxy is killed from here, and what is on its way lands afterwards.
            if gate.is_some() || !victim.ends(Duration::from_secs(1)).await {
                victim.kill();
            }
            let_go(&victim);
            // What comes meanwhile makes the next life begin with a backlog, over the change of the schema for the loader.
            if role == Role::Loader {
                flow.reach(EVOLVES_AT + 10).await?;
            } else {
                flow.go_on(5).await?;
            }
            drop(victim);
            let again = stage.start(role, "again", Start::default());
            context.did("started again");
            Ok(second.into_iter().chain([again]).collect())
        }
        Deed::Pause => {
            victim.stop();
            let second = second.unwrap_or_else(|| stage.start(role, "second", Start::default()));
            tokio::time::sleep(PAUSE).await;
            if point.leaves_the_table_free() {
                loads(context, stage).await?;
                context.saw("the second one has loaded meanwhile what the first one was about to load");
            } else {
                context.saw(if second.was_given_work() {
                    "the second one was given the work"
                } else {
                    "the second one was not given the work in time"
                });
            }
            let_go(&victim);
            victim.go_on();
            flow.hold_schema(false);
            flow.go_on(AFTER).await?;
            Ok(vec![victim, second])
        }
        Deed::Cut => {
            tokio::time::sleep(HELD).await;
            net.cut();
            let_go(&victim);
            tokio::time::sleep(CUT).await;
            net.restore();
            Ok(second.into_iter().chain([victim]).collect())
        }
        Deed::LostAck => bail!("a lost acknowledgement is the request's, not the failpoint's"),
    }
}

/// Waits until a second loader has loaded every claim that the first one can have planned, which the append table shows if the first one
/// does so again.
async fn loads(context: &Context, stage: &Stage) -> Result<()> {
    let mut ends = BTreeMap::new();
    for claim in stage.claims(APPEND) {
        let end = ends.entry(claim.partition.0).or_insert(0);
        *end = claim.next.0.max(*end);
    }
    let since = Instant::now();
    for (partition, end) in ends {
        stage.loaded_beyond(context, since, APPEND, partition, end - 1).await?;
    }
    Ok(())
}

/// Kills a server process of the database while a load is held in its transaction: all sessions end, and the database recovers from its
/// log, as after a failover.
async fn failover(context: &Context, stage: &Stage, net: Arc<Net>) -> Result<Vec<Member>> {
    let postgres = Warehouse::connect(&context.parts().postgres).await;
    let pid = backend(&postgres).await?;
    let start = Start {
        failpoints: "C24=hold*3",
        net: Some(&net),
    };
    let mut victim = stage.start(Role::Loader, "victim", start);
    if !victim.reaches("C24").await {
        return Err(NotReached("C24 was not hit three times".to_owned()).into());
    }
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pid])
        .status()
        .context("run kill")?;
    if !killed.success() {
        return Err(Skipped("the database's processes are not ours to kill".to_owned()).into());
    }
    context.did(format!(
        "server process {pid} of the database killed while a load is between DELETE and INSERT"
    ));
    victim.release("C24");
    Ok(vec![victim])
}

/// Process id of a server process on this machine.
async fn backend(postgres: &Warehouse) -> Result<String> {
    let rows = postgres
        .rows("SELECT pg_backend_pid()")
        .await
        .map_err(anyhow::Error::msg)?;
    let pid = rows
        .first()
        .and_then(|row| row.first().cloned().flatten())
        .context("a process id")?;
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if !command.contains("postgres") {
        return Err(Skipped("the database does not run on this machine".to_owned()).into());
    }
    Ok(pid)
}
