//! The points C1-C30 of protocol section 7: what each is, and by what means each deed is done there, or why it does not apply. This is
//! the matrix, as data.

use crate::drill::Deed;
use crate::member::Role;
use crate::net::{Act, Part};

/// What a deed at a point comes to.
#[derive(Debug, Clone, Copy)]
pub enum Cell {
    /// At a failpoint, at one of these hits (the seed chooses).
    At(&'static str, (u32, u32)),
    /// The same, after the answer to one PUT was lost, so that the next try is answered 412.
    AfterLostPut(&'static str),
    /// At a request that the daemon's proxy sees.
    Asked(Asked),
    /// The same, after a second daemon has joined the group while the request was held.
    AskedInRevoke(Asked),
    /// At a failpoint that fails: the effect is done and the daemon is told that its outcome is unknown.
    Fails(&'static str, (u32, u32)),
    /// At any moment while records are open.
    Anytime,
    /// The database goes down in mid-transaction and recovers.
    Failover,
    /// It does not apply, for this reason.
    No(&'static str),
}

/// A request to wait for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Asked of this part.
    pub part: Part,
    /// What the request contains.
    pub needle: &'static str,
    /// Which of them.
    pub nth: (u32, u32),
    /// What the proxy does with it.
    pub act: Act,
}

/// One point.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Its number.
    pub id: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Whose point it is.
    pub role: Role,
    /// The deed that `--quick` does there.
    pub quick: Deed,
    /// By kill -9.
    pub kill: Cell,
    /// By a pause past the session.
    pub pause: Cell,
    /// By a cut network.
    pub cut: Cell,
    /// By a lost acknowledgement.
    pub lost_ack: Cell,
}

impl Point {
    /// Whether whoever is stopped here leaves its table free for a second loader.
    #[must_use]
    pub fn leaves_the_table_free(&self) -> bool {
        matches!(self.id, "C17" | "C18" | "C19")
    }

    /// The cell of a deed.
    #[must_use]
    pub fn cell(&self, deed: Deed) -> Cell {
        match deed {
            Deed::Kill => self.kill,
            Deed::Pause => self.pause,
            Deed::Cut => self.cut,
            Deed::LostAck => self.lost_ack,
        }
    }
}

/// Requests to the signal topics. The first of each partition is its genesis.
const SIGNAL: &str = "spolt.signals.";

const fn asked(part: Part, needle: &'static str, nth: (u32, u32), act: Act) -> Asked {
    Asked { part, needle, nth, act }
}

/// A point of s3-spolt at a failpoint, for all deeds but a lost acknowledgement.
const fn writer(id: &'static str, what: &'static str, quick: Deed, hits: (u32, u32), lost_ack: Cell) -> Point {
    let at = Cell::At(id, hits);
    Point {
        id,
        what,
        role: Role::Writer,
        quick,
        kill: at,
        pause: at,
        cut: at,
        lost_ack,
    }
}

/// The same for redshift-spolt.
const fn loader(id: &'static str, what: &'static str, quick: Deed, hits: (u32, u32), lost_ack: Cell) -> Point {
    Point {
        role: Role::Loader,
        ..writer(id, what, quick, hits, lost_ack)
    }
}

/// A point of s3-spolt at a request, for all deeds.
const fn requested(id: &'static str, what: &'static str, quick: Deed, hold: Asked, lost_ack: Cell) -> Point {
    let at = Cell::Asked(hold);
    Point {
        id,
        what,
        role: Role::Writer,
        quick,
        kill: at,
        pause: at,
        cut: at,
        lost_ack,
    }
}

/// A point of redshift-spolt whose statement's answer can be lost.
const fn statement(id: &'static str, what: &'static str, quick: Deed, hits: (u32, u32), sql: &'static str) -> Point {
    let lost = asked(Part::Warehouse, sql, (2, 4), Act::LoseAnswer);
    loader(id, what, quick, hits, Cell::Asked(lost))
}

const NOTHING_SENT: Cell = Cell::No("nothing was sent, so there is no acknowledgement");
const ARRIVED: Cell = Cell::No("the acknowledgement has arrived by then; losing it is the point before");
const SINGLE_PUT: Cell =
    Cell::No("objects go up by a single PUT: there is no multipart upload that could be half done");
const ONE_LOADER: Cell =
    Cell::No("the point is about two loaders at once; one that dies, is cut off or unanswered is C20-C27");
const DATABASE: Cell = Cell::No("the point is the database's own restart; what a daemon meets otherwise is C20-C27");
const QUESTION: Cell =
    Cell::No("a question changes nothing: an answer that is lost is asked for again, as after the cut");

/// All points, in order.
pub const POINTS: &[Point] = &[
    writer("C1", "before reading the last signal", Deed::Kill, (1, 3), QUESTION),
    requested(
        "C2",
        "genesis sent, before its acknowledgement",
        Deed::Kill,
        asked(Part::Kafka, SIGNAL, (1, 3), Act::HoldAnswer),
        Cell::Asked(asked(Part::Kafka, SIGNAL, (1, 3), Act::LoseAnswer)),
    ),
    writer("C3", "after the genesis was acknowledged", Deed::Kill, (1, 4), ARRIVED),
    Point {
        id: "C4",
        what: "in the middle of a batch",
        role: Role::Writer,
        quick: Deed::Kill,
        kill: Cell::Anytime,
        pause: Cell::Anytime,
        cut: Cell::Anytime,
        lost_ack: NOTHING_SENT,
    },
    writer("C5", "encoded, not PUT", Deed::Pause, (4, 12), NOTHING_SENT),
    requested(
        "C6",
        "PUT sent, and late to arrive",
        Deed::Kill,
        asked(Part::S3, ".csv", (4, 12), Act::HoldRequest),
        Cell::No("that is C8"),
    ),
    Point {
        id: "C7",
        what: "multipart half done",
        role: Role::Writer,
        quick: Deed::Kill,
        kill: SINGLE_PUT,
        pause: SINGLE_PUT,
        cut: SINGLE_PUT,
        lost_ack: SINGLE_PUT,
    },
    Point {
        kill: Cell::At("C8", (4, 12)),
        ..requested(
            "C8",
            "PUT applied, its response on the way or lost",
            Deed::LostAck,
            asked(Part::S3, ".csv", (4, 12), Act::HoldAnswer),
            Cell::Asked(asked(Part::S3, ".csv", (4, 12), Act::LoseAnswer)),
        )
    },
    Point {
        id: "C9",
        what: "412 received",
        role: Role::Writer,
        quick: Deed::Kill,
        kill: Cell::AfterLostPut("C9"),
        pause: Cell::AfterLostPut("C9"),
        cut: Cell::AfterLostPut("C9"),
        lost_ack: Cell::No(
            "412 is what the retry after a lost acknowledgement is answered; losing that one is C8 again",
        ),
    },
    writer("C10", "before the signal is sent", Deed::Cut, (4, 12), NOTHING_SENT),
    requested(
        "C11",
        "signal sent, not acknowledged",
        Deed::Kill,
        asked(Part::Kafka, SIGNAL, (9, 16), Act::HoldAnswer),
        Cell::Asked(asked(Part::Kafka, SIGNAL, (9, 16), Act::LoseAnswer)),
    ),
    writer(
        "C12",
        "signal appended, its acknowledgement lost",
        Deed::LostAck,
        (4, 12),
        Cell::Fails("C12", (4, 12)),
    ),
    writer(
        "C13",
        "signal acknowledged, position not moved",
        Deed::Kill,
        (4, 12),
        ARRIVED,
    ),
    in_revoke(
        "C14",
        "partitions revoked with a PUT in flight",
        asked(Part::S3, ".csv", (4, 12), Act::HoldRequest),
        asked(Part::S3, ".csv", (4, 12), Act::LoseAnswer),
    ),
    in_revoke(
        "C15",
        "partitions revoked with a signal in flight",
        asked(Part::Kafka, SIGNAL, (9, 16), Act::HoldRequest),
        asked(Part::Kafka, SIGNAL, (9, 16), Act::LoseAnswer),
    ),
    command(
        Role::Operator,
        "C16",
        "gap decided, before its signal",
        Cell::At("C16", (1, 1)),
        Cell::Asked(asked(Part::Kafka, SIGNAL, (1, 1), Act::LoseAnswer)),
    ),
    loader("C17", "after planning a load", Deed::Kill, (2, 5), NOTHING_SENT),
    loader(
        "C18",
        "manifest written",
        Deed::LostAck,
        (2, 5),
        Cell::Asked(asked(Part::S3, "/_manifests/", (2, 4), Act::LoseAnswer)),
    ),
    Point {
        // Of the append table: without a lock it is doubled, where the upsert table would hide it. Late, so that the table has all its
        // columns: a second loader that adds one would stop the first one by that alone.
        pause: Cell::At("C19@journal", (14, 18)),
        ..statement("C19", "after BEGIN, before LOCK", Deed::Pause, (2, 5), "BEGIN")
    },
    statement("C20", "after LOCK", Deed::Pause, (2, 5), "LOCK"),
    Point {
        lost_ack: Cell::Asked(asked(Part::Warehouse, "ADD COLUMN", (1, 2), Act::LoseAnswer)),
        ..loader("C21", "after the migration's DDL", Deed::Kill, (3, 3), NOTHING_SENT)
    },
    statement("C22", "during COPY", Deed::Cut, (2, 5), "COPY "),
    loader(
        "C23",
        "after COPY, before the trim",
        Deed::Kill,
        (2, 5),
        Cell::No("the count after COPY is a question; the answer to COPY itself is lost at C22"),
    ),
    statement(
        "C24",
        "after the target's DELETE, before INSERT",
        Deed::Kill,
        (2, 5),
        "DELETE FROM",
    ),
    statement(
        "C25",
        "before the checkpoint's UPDATE",
        Deed::Kill,
        (2, 5),
        "INSERT INTO",
    ),
    statement(
        "C26",
        "after the checkpoint's UPDATE, before COMMIT",
        Deed::Pause,
        (2, 5),
        "UPDATE ",
    ),
    Point {
        kill: Cell::Asked(asked(Part::Warehouse, "COMMIT", (3, 5), Act::HoldAnswer)),
        pause: Cell::Asked(asked(Part::Warehouse, "COMMIT", (3, 5), Act::HoldAnswer)),
        // The other outcome: COMMIT never arrives, and the database rolls back.
        cut: Cell::Asked(asked(Part::Warehouse, "COMMIT", (3, 5), Act::HoldRequest)),
        lost_ack: Cell::Asked(asked(Part::Warehouse, "COMMIT", (3, 5), Act::LoseAnswer)),
        ..loader("C27", "COMMIT sent", Deed::LostAck, (3, 5), NOTHING_SENT)
    },
    loader(
        "C28",
        "committed, progress not published",
        Deed::Kill,
        (2, 5),
        Cell::Asked(asked(Part::Kafka, "progress.", (2, 4), Act::LoseAnswer)),
    ),
    Point {
        kill: ONE_LOADER,
        cut: ONE_LOADER,
        lost_ack: ONE_LOADER,
        pause: Cell::At("C22", (3, 6)),
        ..loader(
            "C29",
            "a second loader while the first is stopped in its transaction",
            Deed::Pause,
            (3, 6),
            ONE_LOADER,
        )
    },
    Point {
        kill: Cell::Failover,
        pause: DATABASE,
        cut: DATABASE,
        lost_ack: DATABASE,
        ..loader(
            "C30",
            "database failover in mid-transaction",
            Deed::Kill,
            (2, 5),
            DATABASE,
        )
    },
    command(
        Role::Collector,
        "C31",
        "horizon appended, nothing deleted",
        Cell::At("C31", (1, 1)),
        Cell::Asked(asked(Part::Kafka, SIGNAL, (1, 4), Act::LoseAnswer)),
    ),
    command(
        Role::Collector,
        "C32",
        "half of the deletes done",
        Cell::At("C32", (2, 4)),
        Cell::Asked(asked(Part::S3, "delete", (2, 4), Act::LoseAnswer)),
    ),
    command(
        Role::Collector,
        "C33",
        "horizon computed, not written",
        Cell::At("C33", (1, 1)),
        NOTHING_SENT,
    ),
];

/// A point of a command, while daemons run.
const fn command(role: Role, id: &'static str, what: &'static str, at: Cell, lost_ack: Cell) -> Point {
    Point {
        id,
        what,
        role,
        quick: Deed::Kill,
        kill: at,
        pause: at,
        cut: at,
        lost_ack,
    }
}

const fn in_revoke(id: &'static str, what: &'static str, hold: Asked, lose: Asked) -> Point {
    let at = Cell::AskedInRevoke(hold);
    Point {
        id,
        what,
        role: Role::Writer,
        quick: Deed::Kill,
        kill: at,
        pause: at,
        cut: at,
        lost_ack: Cell::AskedInRevoke(lose),
    }
}
