//! The ledger proved: what every line says it has used, beside the sums of all that was ever
//! held, captured, refunded, carved and returned. It shares nothing with the books but the rows.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};
use std::collections::BTreeMap;

/// Faults told at most; more are counted.
pub const MAX_FAULTS: usize = 100;

/// A line and the start of a period.
type Place = (String, i64);

/// What the ledger's proof found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    pub holds: u64,
    pub captures: u64,
    pub carves: u64,
    /// Lines' periods that were compared.
    pub periods: u64,
    /// What does not add up, a sentence each: the first [`MAX_FAULTS`].
    pub faults: Vec<String>,
    pub faults_in_all: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sums {
    held: i64,
    spent: i64,
    carved: i64,
    overage: i64,
}

#[derive(Debug, QueryableByName)]
pub(crate) struct HoldEntry {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
    #[diesel(sql_type = BigInt)]
    pub captured: i64,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Text)]
    pub path: String,
    /// What its captures come to.
    #[diesel(sql_type = BigInt)]
    pub booked: i64,
}

#[derive(Debug, QueryableByName)]
pub(crate) struct CaptureEntry {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = BigInt)]
    pub spent: i64,
    #[diesel(sql_type = BigInt)]
    pub overage: i64,
    #[diesel(sql_type = BigInt)]
    pub refunded: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub overages: Option<String>,
    #[diesel(sql_type = Text)]
    pub path: String,
}

#[derive(Debug, QueryableByName)]
pub(crate) struct CarveEntry {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub path: String,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
    #[diesel(sql_type = BigInt)]
    pub reported: i64,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = BigInt)]
    pub returned: i64,
}

#[derive(Debug, QueryableByName)]
pub(crate) struct UseEntry {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = BigInt)]
    pub period: i64,
    #[diesel(sql_type = BigInt)]
    pub held: i64,
    #[diesel(sql_type = BigInt)]
    pub spent: i64,
    #[diesel(sql_type = BigInt)]
    pub carved: i64,
    #[diesel(sql_type = BigInt)]
    pub overage: i64,
}

/// The sums of a journal, while it is read.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    sums: BTreeMap<Place, Sums>,
    proof: Proof,
}

impl Journal {
    pub fn hold(&mut self, entry: &HoldEntry) {
        self.proof.holds = self.proof.holds.saturating_add(1);
        if entry.booked < entry.captured || entry.captured > entry.amount {
            let HoldEntry { id, captured, booked, amount, .. } = entry;
            self.fault(format!("hold {id} of {amount} says {captured} were captured, its captures say {booked}"));
        }
        let rest = if entry.state == "open" { entry.amount.saturating_sub(entry.captured) } else { 0 };
        self.on_path(&entry.id, &entry.path, |sums, _| sums.held = sums.held.saturating_add(rest));
    }

    pub fn capture(&mut self, entry: &CaptureEntry) {
        self.proof.captures = self.proof.captures.saturating_add(1);
        let whole = entry.spent.saturating_add(entry.overage);
        let overages = entry.overages.as_deref().map(serde_json::from_str::<Vec<i64>>).transpose().unwrap_or_default();
        let overages = overages.unwrap_or_default();
        if entry.refunded > whole || overages.iter().copied().max().unwrap_or(0) != entry.overage {
            self.fault(format!("capture {} of {whole} is not one by its own figures", entry.id));
        }
        self.on_path(&entry.id, &entry.path, |sums, level| {
            let overage = overages.get(level).copied().unwrap_or(0);
            let left_over = overage.saturating_sub(entry.refunded).max(0);
            let refunded = entry.refunded.saturating_sub(overage).max(0);
            sums.overage = sums.overage.saturating_add(left_over);
            sums.spent = sums.spent.saturating_add(whole.saturating_sub(overage).saturating_sub(refunded));
        });
    }

    pub fn carve(&mut self, entry: &CarveEntry) {
        self.proof.carves = self.proof.carves.saturating_add(1);
        let settled = entry.state == "settled";
        self.on_path(&entry.id, &entry.path, |sums, _| {
            if settled {
                sums.spent = sums.spent.saturating_add(entry.amount.saturating_sub(entry.returned));
            } else {
                sums.carved = sums.carved.saturating_add(entry.amount);
            }
        });
        let own = self.sums.entry((entry.id.clone(), 0)).or_default();
        own.spent = own.spent.saturating_add(entry.reported.min(entry.amount));
        own.overage = own.overage.saturating_add(entry.reported.saturating_sub(entry.amount).max(0));
    }

    fn on_path(&mut self, id: &str, path: &str, mut add: impl FnMut(&mut Sums, usize)) {
        let Ok(places) = serde_json::from_str::<Vec<Place>>(path) else {
            self.fault(format!("{id} has no path that can be read"));
            return;
        };
        for (level, place) in places.into_iter().enumerate() {
            add(self.sums.entry(place).or_default(), level);
        }
    }

    /// What a line says, beside what it comes to.
    pub fn compare(&mut self, entry: &UseEntry) {
        self.proof.periods = self.proof.periods.saturating_add(1);
        let due = self.sums.remove(&(entry.id.clone(), entry.period)).unwrap_or_default();
        let UseEntry { id, period, held, spent, carved, overage } = entry;
        let said = Sums { held: *held, spent: *spent, carved: *carved, overage: *overage };
        if said != due {
            self.fault(format!("line {id}, period {period}: it says {}, its journal {}", told(said), told(due)));
        }
    }

    /// The end: what the journal speaks of and no line does.
    pub fn close(mut self) -> Proof {
        for ((line, period), due) in std::mem::take(&mut self.sums) {
            if due != Sums::default() {
                self.fault(format!("line {line}, period {period}: it says nothing, its journal {}", told(due)));
            }
        }
        self.proof
    }

    fn fault(&mut self, text: String) {
        self.proof.faults_in_all = self.proof.faults_in_all.saturating_add(1);
        if self.proof.faults.len() < MAX_FAULTS {
            self.proof.faults.push(text);
        }
    }
}

fn told(sums: Sums) -> String {
    let Sums { held, spent, carved, overage } = sums;
    format!("{held} held, {spent} spent, {carved} carved, {overage} overage")
}
