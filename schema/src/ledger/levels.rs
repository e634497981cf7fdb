//! Lines as the law sees them: the levels of a path in their present periods, and back.

use super::books::{Books, Line, Place};
use super::{MAX_PATH, Refusal};
use stipend_token::budget::{self, Amount, Level, Used, Window};

impl Books {
    /// Where an order is booked: on every line of its chains, if they are chains, and open.
    pub(super) fn places(&self, paths: &[Vec<String>], now: i64) -> Result<Vec<Place>, Refusal> {
        let mut places: Vec<Place> = Vec::new();
        let links = paths
            .iter()
            .flat_map(|chain| chain.iter().enumerate().map(move |(i, id)| (id, chain.get(i.saturating_add(1)))));
        for (id, above) in links {
            let line = self.lines.get(id).ok_or(Refusal::NotFound)?;
            // What a service counts by itself, nobody else may spend from.
            if line.row.enforce == "rs" {
                return Err(Refusal::Carved { line_id: id.clone() });
            }
            if above != line.row.parent_id.as_ref() {
                return Err(Refusal::NotFound);
            }
            let over = line.row.expires_at.is_some_and(|end| now >= end);
            if line.row.state != "active" || over {
                return Err(Refusal::Closed { line_id: id.clone() });
            }
            let period = line.window.period(now).map_err(|_| Refusal::Closed { line_id: id.clone() })?;
            let place = (id.clone(), period.start);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let none = places.is_empty() || paths.iter().any(Vec::is_empty) || places.len() > MAX_PATH;
        if none { Err(Refusal::NotFound) } else { Ok(places) }
    }

    /// The levels of a path as they are. What other parts of a rolling window have used counts
    /// as used earlier: those before the place's own, and for what is booked late, those since.
    pub(super) fn levels(&self, places: &[Place], now: i64) -> Vec<Level> {
        places.iter().map(|place| self.level(place, now)).collect()
    }

    fn level(&self, place: &Place, now: i64) -> Level {
        let used = self.uses.get(place).copied().unwrap_or_default();
        let Some(line) = self.lines.get(&place.0) else {
            return Level { limit: Amount::ZERO, per_call: None, earlier: 0, used };
        };
        let mut level = Level {
            limit: Amount::new(line.row.limit(now)).unwrap_or_default(),
            per_call: line.row.per_call.and_then(|amount| Amount::new(amount).ok()),
            earlier: self.other_parts(line, place, now).map(Used::total).sum(),
            used,
        };
        if matches!(line.window, Window::Rolling(_)) {
            // A rolling window has no beginning at which to forget what was told: a threshold
            // is told again once use has been below it in between.
            let told = self.other_parts(line, place, now).map(|used| used.told).max().unwrap_or(0).max(used.told);
            level.used.told = 0;
            level.used.told = budget::crossed(&level).last().copied().unwrap_or(0).min(told);
        }
        level
    }

    /// What the other parts of a rolling window have used that count together with `place`.
    fn other_parts<'a>(&'a self, line: &Line, place: &'a Place, now: i64) -> impl Iterator<Item = &'a Used> {
        let rolling = matches!(line.window, Window::Rolling(_));
        let from = line.window.counts_from(place.1).unwrap_or(i64::MIN);
        let counts = move |(id, period): &Place| *id == place.0 && *period != place.1 && (from..=now).contains(period);
        self.uses.iter().filter(move |(place, _)| rolling && counts(place)).map(|(_, used)| used)
    }

    pub(super) fn book(&mut self, places: &[Place], path: &[Level]) {
        for (place, level) in places.iter().zip(path) {
            if self.uses.insert(place.clone(), level.used) != Some(level.used) {
                self.changed.uses.insert(place.clone());
            }
        }
    }

    /// Marks the thresholds that use has reached as told, and answers them.
    pub(super) fn tell(&self, places: &[Place], path: &mut [Level]) -> Vec<(String, u8)> {
        let mut told = Vec::new();
        for ((line, _), level) in places.iter().zip(path) {
            for percent in budget::crossed(level) {
                level.used.told = level.used.told.max(percent);
                told.push((line.clone(), percent));
            }
        }
        told
    }
}
