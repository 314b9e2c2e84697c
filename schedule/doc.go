// Package schedule starts runs by the clock: at the times of a cron expression
// or at a fixed interval. A schedule is itself a run, of the workflow
// [Workflow]; it is stored, paused, listed, verified and replayed like any other, and
// needs nothing besides the runtime. The package must not know stores, workers or servers.
//
//	err := schedule.Register(rt) // in every process that drives runs or creates schedules
//	s, err := schedule.Create(ctx, rt, schedule.Spec{
//		Name: "digest", Cron: "30 7 * * mon-fri", TimeZone: "Europe/Berlin",
//		Workflow: "digest", Overlap: schedule.Skip, CatchUp: 1,
//	}, bide.Command{Actor: "ann"})
//
// # When
//
// A cron expression has five fields: minute, hour, day of the month, month, day of
// the week. A field is a list of values, ranges "a-b" and steps "*/n", "a-b/n" or "a/n" (from a on);
// months and days may be named, and 7 is Sunday too. "?" is "*". When both day fields leave something out, a
// day need match only one of them. There are no seconds: use an interval. The words
// @hourly, @daily (@midnight), @weekly, @monthly and @yearly (@annually) stand for the usual expressions.
//
// An interval counts elapsed time from an anchor and knows no daylight saving.
//
// # When the clocks change
//
// An expression that allows every hour, such as "*/15 * * * *", follows the clock on the
// wall: it fires whenever the clock shows a matching time. What the clock leaves out
// does not happen; what it shows twice happens twice.
//
// Any other expression names times of the day, and each happens once a day, read as RFC 5545
// (§3.3.5) reads local times: one that the clock leaves out happens as if it had not been changed yet, so
// that 02:30 becomes 03:30; of one that it shows twice the first counts. Two times that so become the same instant are one.
//
// # Overlap, missed times, jitter
//
// [Overlap] says what happens when a time comes while the run before is at work.
// A time is missed when the schedule could not act on it within Spec.Grace, because it was
// paused or no worker was at work; Spec.CatchUp says how many missed times are made
// up. Spec.Jitter delays each start by a time that follows from the schedule's name and the time alone.
package schedule
