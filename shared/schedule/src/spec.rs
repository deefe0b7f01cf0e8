//! What a user writes about time, and its way to a timetable.
//! Never knows whether it came from a file, a request or the store.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::calendar::{Business, Calendar, OnHoliday};
use crate::cron::{Cron, every_macro};
use crate::duration::{Step, parse_duration, parse_step};
use crate::error::TimingError;
use crate::every::{CalendarEvery, EPOCH, FixedEvery, Turns};
use crate::instant::{self, Moment, parse_instant, parse_moment};
use crate::repeat::Repetition;
use crate::timetable::{Rule, Steps, Timetable};
use crate::wall::{Fold, Gap, Instants, Wall};
use crate::zone::zone;

/// What a user writes about time: exactly one of `cron`, `every`, `repeat` and `at`, and what goes with it.
///
/// ```
/// # use upbeat_schedule::TimingSpec;
/// let spec = TimingSpec {
///     cron: Some("30 2 * * *".into()),
///     timezone: Some("Europe/Berlin".into()),
///     ..TimingSpec::default()
/// };
/// let timetable = spec.compile()?;
/// // 02:30 does not exist that night: it runs at the first instant after the gap.
/// let next = timetable.next("2026-03-28T12:00:00Z".parse()?);
/// assert_eq!(next, Some("2026-03-29T03:00:00+02:00".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimingSpec {
    /// A cron expression of 5, 6 or 7 fields, or a macro such as `@daily`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// A step: `15m` is elapsed time, `1 month` and `P1D` are steps on the calendar of the zone. Counted from `starts`,
    /// or else from the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// An ISO 8601 repetition, `R5/2026-01-31T09:00:00Z/P1M`: start, and how far apart. The zone or offset of its start is
    /// kept; a start without either is read in `timezone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
    /// A single instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The IANA name of the zone in which wall-clock times are read; UTC by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What becomes of a wall-clock time that a change of clocks removes. Interval expressions, such as `0 * * * *`,
    /// follow elapsed time and need no such rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
    /// What becomes of a wall-clock time that a change of clocks repeats. Interval expressions run both times always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// A day has to satisfy both day fields of `cron`, where a crontab is content with either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dom_and_dow: Option<bool>,
    /// No occurrence before this instant. A date means its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<String>,
    /// No occurrence after this instant. A date includes the whole day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
    /// Days off: no occurrence runs on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// What becomes of an occurrence on a day off of the calendar; it is skipped unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_holiday: Option<OnHoliday>,
    /// The window within which occurrences are delayed, each by its own amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
}

/// Finer than this, a schedule would be a busy loop: entries are due to the millisecond.
const SHORTEST_STEP: SignedDuration = SignedDuration::from_millis(1);

const STEPS: &str = "steps are written as `90s`, `15m`, `1h 30m` or `PT15M`, and on the calendar as `1 day`, `P1M` or `1 year`";

impl TimingSpec {
    /// Checks everything that was written, and makes it answer what fires next.
    pub fn compile(&self) -> Result<Timetable, TimingError> {
        let repeat = self.repeat.as_deref().map(Repetition::parse).transpose();
        let repeat = repeat.map_err(|error| error.in_field("repeat"))?;
        let zone = self.zone(repeat.as_ref())?;
        let starts = parse_bound(self.starts.as_deref(), &zone, Bound::Start)
            .map_err(|error| error.in_field("starts"))?;
        let ends =
            parse_bound(self.ends.as_deref(), &zone, Bound::End).map_err(|error| error.in_field("ends"))?;
        let jitter = self.jitter.as_deref().map_or(Ok(SignedDuration::ZERO), parse_duration);
        let business = self.business()?;
        let timetable = Timetable {
            rule: self.rule(&zone, starts, repeat.as_ref(), business.as_ref())?,
            zone,
            starts,
            ends,
            jitter: jitter.map_err(|error| error.in_field("jitter"))?,
            business,
        };
        self.check_that_it_fires(&timetable)?;
        Ok(timetable)
    }

    /// The text of a field, as a person wrote it; what [`TimingError::render`] wants to be given.
    ///
    /// ```
    /// # use upbeat_schedule::TimingSpec;
    /// let spec = TimingSpec { every: Some("soon".into()), ..TimingSpec::default() };
    /// let error = spec.compile().unwrap_err();
    /// assert_eq!(spec.text_of(error.field), "soon");
    /// ```
    pub fn text_of(&self, field: &str) -> &str {
        let text = match field {
            "cron" => &self.cron,
            "every" => &self.every,
            "repeat" => &self.repeat,
            "at" => &self.at,
            "timezone" => &self.timezone,
            "starts" => &self.starts,
            "ends" => &self.ends,
            "jitter" => &self.jitter,
            "on_holiday" => return self.on_holiday.map_or("", OnHoliday::as_str),
            "calendar" => return self.calendar.as_ref().map_or("", Calendar::name),
            _ => &None,
        };
        text.as_deref().unwrap_or_default()
    }

    /// The zone of the wall clock: that of a repetition's start, or else `timezone`.
    fn zone(&self, repeat: Option<&Repetition>) -> Result<TimeZone, TimingError> {
        let named = match &self.timezone {
            Some(name) => Some((name, zone(name).map_err(|error| error.in_field("timezone"))?)),
            None => None,
        };
        match (repeat.and_then(|repeat| repeat.zone.clone()), named) {
            // Neither is dropped in silence: it would move every occurrence by hours.
            (Some(own), Some((name, named))) if own != named => {
                Err(TimingError::whole(name, "the start of `repeat` says where it is already")
                    .help("leave this out, or write the start without `Z`, an offset or a zone")
                    .in_field("timezone"))
            }
            (Some(own), _) => Ok(own),
            (None, Some((_, named))) => Ok(named),
            (None, None) => Ok(TimeZone::UTC),
        }
    }

    fn rule(
        &self,
        zone: &TimeZone,
        starts: Option<Timestamp>,
        repeat: Option<&Repetition>,
        business: Option<&Business>,
    ) -> Result<Rule, TimingError> {
        if let (Some(both), None) = (self.dom_and_dow, &self.cron) {
            return Err(TimingError::whole(&both.to_string(), "only `cron` has day fields")
                .help("leave it out")
                .in_field("dom_and_dow"));
        }
        match (&self.cron, &self.every, repeat, &self.at) {
            (Some(text), None, None, None) => {
                self.cron_rule(text, zone, starts, business).map_err(|error| error.in_field("cron"))
            }
            (None, Some(text), None, None) => {
                self.every_rule(text, zone, starts, business).map_err(|error| error.in_field("every"))
            }
            (None, None, Some(repeat), None) => {
                self.repeat_rule(repeat, zone, business).map_err(|error| error.in_field("repeat"))
            }
            (None, None, None, Some(text)) => {
                self.at_rule(text, zone, business).map_err(|error| error.in_field("at"))
            }
            (None, None, None, None) => {
                Err(TimingError::new(0..0, "the schedule says nothing about when it fires")
                    .help("set one of `cron`, `every`, `repeat` and `at`"))
            }
            _ => Err(TimingError::new(0..0, "the schedule has more than one rule").help(
                "keep one of `cron`, `every`, `repeat` and `at`; make a schedule for each of the others",
            )),
        }
    }

    fn cron_rule(
        &self,
        text: &str,
        zone: &TimeZone,
        starts: Option<Timestamp>,
        business: Option<&Business>,
    ) -> Result<Rule, TimingError> {
        if let Some((every, at)) = every_macro(text) {
            return self.every_rule(every, zone, starts, business).map_err(|error| error.shifted(at));
        }
        let cron = Cron::parse(text, self.dom_and_dow == Some(true))?;
        Ok(Rule::Cron {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            pattern: Box::new(cron.pattern.with_calendar(business.cloned())),
            wall: if cron.interval { Wall::ELAPSED } else { self.wall() },
        })
    }

    fn every_rule(
        &self,
        text: &str,
        zone: &TimeZone,
        starts: Option<Timestamp>,
        business: Option<&Business>,
    ) -> Result<Rule, TimingError> {
        let step = parse_step(text, STEPS)?;
        let fixed = starts.unwrap_or(Timestamp::UNIX_EPOCH);
        let anchor = (starts, starts.map_or(EPOCH, |starts| zone.to_datetime(starts)));
        check_step(text, step, business)?;
        let steps = self.steps(text, step, Some(fixed), anchor, Turns::ALL)?;
        Ok(Rule::Every { text: format!("every {}", text.trim()), steps })
    }

    fn repeat_rule(
        &self,
        repeat: &Repetition,
        zone: &TimeZone,
        business: Option<&Business>,
    ) -> Result<Rule, TimingError> {
        let text = self.text_of("repeat");
        check_step(text, repeat.step, business)?;
        let first = repeat.first(zone, self.wall());
        let steps = self.steps(text, repeat.step, first, repeat.anchor(zone), repeat.turns)?;
        Ok(Rule::Every { text: format!("repeat {}", text.trim()), steps })
    }

    /// Steps from a start; `fixed` is the start as an instant, which elapsed time is counted from.
    fn steps(
        &self,
        text: &str,
        step: Step,
        fixed: Option<Timestamp>,
        anchor: (Option<Timestamp>, DateTime),
        turns: Turns,
    ) -> Result<Steps, TimingError> {
        match step {
            Step::Fixed(step) if step < SHORTEST_STEP => {
                Err(TimingError::whole(text, "this step is too short").help("the shortest is `1ms`"))
            }
            Step::Fixed(step) => {
                let Some(anchor) = fixed else {
                    return Err(TimingError::whole(text, "a change of clocks skips the start")
                        .help("choose another time, or set `gap = \"run_after\"`"));
                };
                let every = FixedEvery::new(anchor, step, turns).ok_or_else(|| {
                    TimingError::whole(text, "this step is longer than all the years that have instants")
                })?;
                Ok(Steps::Fixed(every))
            }
            Step::Calendar(step) => Ok(Steps::Calendar(CalendarEvery::new(anchor, step, self.wall(), turns))),
        }
    }

    fn at_rule(&self, text: &str, zone: &TimeZone, business: Option<&Business>) -> Result<Rule, TimingError> {
        let (exact, civil, zone) = match parse_moment(text)? {
            Moment::Instant(instant) => (Some(instant), zone.to_datetime(instant), zone.clone()),
            Moment::Date(_) => return Err(instant::without_time(text)),
            Moment::Civil(civil, named) => (None, civil, named.unwrap_or_else(|| zone.clone())),
        };
        let day = business.map_or(Some(civil.date()), |business| business.day_for(civil.date()));
        let day = day.ok_or_else(|| {
            TimingError::whole(text, "this never fires: the calendar has that day off")
                .help("choose another day, or set `on_holiday = \"next_business_day\"`")
        })?;
        if let Some(exact) = exact.filter(|_| day == civil.date()) {
            return Ok(Rule::At(exact));
        }
        let civil = day.to_datetime(civil.time());
        match self.wall().instants(&zone, civil) {
            Instants::One(instant) => Ok(Rule::At(instant::whole_micros(instant))),
            Instants::Two(..) => {
                Err(TimingError::whole(text, "the clocks show this time twice, and `at` fires once")
                    .help("set `fold` to \"first\" or \"second\", or append the offset"))
            }
            Instants::None if self.wall().gap == Gap::Skip => {
                Err(TimingError::whole(text, "this never fires: a change of clocks skips this time")
                    .help("choose another time, or set `gap = \"run_after\"`"))
            }
            Instants::None => Err(instant::out_of_range(text)),
        }
    }

    fn business(&self) -> Result<Option<Business>, TimingError> {
        let on_holiday = self.on_holiday.unwrap_or_default();
        match (&self.calendar, self.on_holiday) {
            (Some(calendar), _) => Ok(Some(Business { calendar: calendar.clone(), on_holiday })),
            (None, Some(_)) => Err(TimingError::new(0..0, "there is no calendar to say what a holiday is")
                .help("name one with `calendar`, or leave this out")
                .in_field("on_holiday")),
            (None, None) => Ok(None),
        }
    }

    fn wall(&self) -> Wall {
        Wall { gap: self.gap.unwrap_or_default(), fold: self.fold.unwrap_or_default() }
    }

    /// What is left that can keep a rule from ever firing: its bounds, and gaps.
    fn check_that_it_fires(&self, timetable: &Timetable) -> Result<(), TimingError> {
        if timetable.next(Timestamp::MIN).is_some() {
            return Ok(());
        }
        if let Some(business) = &timetable.business
            && timetable.without_calendar().next(Timestamp::MIN).is_some()
        {
            let name = business.calendar.name();
            let message = format!("this never fires: the calendar `{name}` has every such day off");
            return Err(TimingError::whole(name, message)
                .help(
                    "choose other days, or move what falls on them with `on_holiday = \"next_business_day\"`",
                )
                .in_field("calendar"));
        }
        if let Some(ends) = &self.ends {
            if timetable.ends < timetable.starts {
                return Err(TimingError::whole(ends, "this lies before `starts`").in_field("ends"));
            }
            return Err(TimingError::whole(ends, "this never fires: nothing is planned up to here")
                .help("the first occurrence has to be at `ends` or before")
                .in_field("ends"));
        }
        let field = match (&self.cron, &self.repeat, &self.starts) {
            (_, _, Some(_)) => "starts",
            (Some(_), ..) => "cron",
            (None, Some(_), None) => "repeat",
            (None, None, None) => "every",
        };
        let message = match field {
            "starts" => "this never fires: nothing is planned from here on",
            _ => "this never fires: a change of clocks skips all that it names",
        };
        Err(TimingError::whole(self.text_of(field), message).in_field(field))
    }
}

/// Elapsed time has no day that could be moved, and one step in two measures has no time of day.
fn check_step(text: &str, step: Step, business: Option<&Business>) -> Result<(), TimingError> {
    let Some(business) = business else { return Ok(()) };
    match step {
        Step::Fixed(_) if business.on_holiday != OnHoliday::Skip => {
            Err(TimingError::whole(text, "elapsed time has no day that could be moved to a business day")
                .help("use a step on the calendar, such as `1 day`, or `on_holiday = \"skip\"`"))
        }
        Step::Calendar(step) if !step.time.is_zero() => {
            Err(TimingError::whole(text, "a step of days and hours cannot follow a calendar")
                .help("use whole days, weeks, months or years"))
        }
        Step::Fixed(_) | Step::Calendar(_) => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Start,
    End,
}

fn parse_bound(text: Option<&str>, zone: &TimeZone, bound: Bound) -> Result<Option<Timestamp>, TimingError> {
    let Some(text) = text else { return Ok(None) };
    let Moment::Date(date) = parse_moment(text)? else {
        return parse_instant(text, Some(zone)).map(Some);
    };
    let wall = Wall { gap: Gap::RunAfter, fold: Fold::First };
    // The whole day belongs to its schedule, so an end lies just before the next one begins.
    let (midnight, back) = match bound {
        Bound::Start => (Some(date), SignedDuration::ZERO),
        Bound::End => (date.tomorrow().ok(), SignedDuration::from_micros(1)),
    };
    let instant = match midnight.map(|date| wall.instants(zone, date.into())) {
        Some(Instants::One(instant) | Instants::Two(instant, _)) => instant.checked_sub(back).ok(),
        Some(Instants::None) | None => None,
    };
    instant.map(Some).ok_or_else(|| instant::out_of_range(text))
}
