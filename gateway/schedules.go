package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/schedule"
)

const tagSchedules = "schedules"

func (s *Server) registerSchedules() {
	register(s, operation{id: "list-schedules", method: http.MethodGet, path: "/v1/schedules", tag: tagSchedules, right: auth.View,
		summary: "List schedules, newest first", about: "A page may be shorter than the limit and not be the last."}, s.listSchedules)
	register(s, operation{id: "create-schedule", method: http.MethodPost, path: "/v1/schedules", tag: tagSchedules, right: auth.Author, status: http.StatusCreated,
		summary: "Make a schedule"}, s.createSchedule)
	register(s, operation{id: "get-schedule", method: http.MethodGet, path: "/v1/schedules/{name}", tag: tagSchedules, right: auth.View,
		summary: "A schedule as it stands"}, s.getSchedule)
	register(s, operation{id: "get-schedule-times", method: http.MethodGet, path: "/v1/schedules/{name}/times", tag: tagSchedules, right: auth.View,
		summary: "When a schedule starts runs next, in its time zone"}, s.getScheduleTimes)
	register(s, operation{id: "update-schedule", method: http.MethodPut, path: "/v1/schedules/{name}", tag: tagSchedules, right: auth.Author, status: http.StatusAccepted,
		summary: "Give a schedule another spec", about: "The schedule goes by it when it is not paused and waits for no run."}, s.updateSchedule)
	register(s, operation{id: "delete-schedule", method: http.MethodDelete, path: "/v1/schedules/{name}", tag: tagSchedules, right: auth.Author, status: http.StatusNoContent,
		summary: "End a schedule"}, s.deleteSchedule)
	register(s, operation{id: "pause-schedule", method: http.MethodPost, path: "/v1/schedules/{name}/pause", tag: tagSchedules, right: auth.Author,
		summary: "Keep a schedule from starting runs"}, s.changeSchedule(schedule.Pause))
	register(s, operation{id: "unpause-schedule", method: http.MethodPost, path: "/v1/schedules/{name}/unpause", tag: tagSchedules, right: auth.Author,
		summary: "Let a paused schedule go on"}, s.changeSchedule(schedule.Unpause))
	register(s, operation{id: "trigger-schedule", method: http.MethodPost, path: "/v1/schedules/{name}/trigger", tag: tagSchedules, right: auth.Operate, status: http.StatusAccepted,
		summary: "Start a run of a schedule now"}, s.triggerSchedule)
}

// schedule returns one that is seen; any other does not exist. A schedule belongs where the runs do that it starts.
func (v *sight) schedule(ctx context.Context, name string) (*schedule.Schedule, error) {
	found, err := schedule.Get(ctx, v.s.rt, v.p.Scoped(name))
	if errors.Is(err, bide.ErrNotFound) || err == nil && !v.seesSchedule(&found.Spec) {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no schedule %q", name)
	}
	return v.named(found), err
}

// named gives a schedule the name that its namespace calls it by.
func (v *sight) named(s *schedule.Schedule) *schedule.Schedule {
	if s == nil {
		return nil
	}
	out := *s
	if name, ok := v.p.Local(s.Spec.Name); ok {
		out.Spec.Name = name
	}
	return &out
}

func (v *sight) seesSchedule(spec *schedule.Spec) bool {
	return v.p.May(v.right, &bide.RunInfo{Workflow: spec.Workflow, Labels: spec.Labels})
}

func (s *Server) listSchedules(ctx context.Context, in *Paged) (*result[api.ScheduleList], error) {
	page, err := schedule.List(ctx, s.rt, &schedule.ListOptions{Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	v := s.sight(ctx, auth.View)
	out := &api.ScheduleList{Schedules: []schedule.Schedule{}, Next: page.Next}
	for _, one := range page.Schedules {
		if v.seesSchedule(&one.Spec) {
			out.Schedules = append(out.Schedules, *v.named(&one))
		}
	}
	return ok(out), nil
}

type createSchedule struct {
	Keyed
	Body schedule.Spec
}

func (s *Server) createSchedule(ctx context.Context, in *createSchedule) (*result[schedule.Schedule], error) {
	spec, err := s.prepare(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	made, err := schedule.Create(ctx, s.rt, spec, in.command(ctx, ""))
	if err != nil {
		return nil, err
	}
	return ok(s.sight(ctx, auth.Author).named(made)), nil
}

// prepare completes a spec: its namespace, and for a flow its version and input.
func (s *Server) prepare(ctx context.Context, spec schedule.Spec) (schedule.Spec, error) {
	v := s.sight(ctx, auth.Author)
	var err error
	if spec.Labels, err = v.p.Starts(spec.Workflow, spec.Labels); err != nil {
		return spec, err
	}
	spec.Name, spec.Session = v.p.Scoped(spec.Name), v.p.Scoped(spec.Session)
	d, _, err := s.library.find(ctx, v.p.Namespace, spec.Workflow, spec.Version)
	if err != nil || d == nil {
		return spec, err
	}
	if spec.Input == nil {
		spec.Input = bide.JSON("{}")
	}
	if faults := d.CheckInput(spec.Input); len(faults) > 0 {
		return spec, &bide.Error{Code: bide.CodeInvalidInput, Message: fmt.Sprintf("the input does not fit flow %q", d.ID()), Faults: faults}
	}
	spec.Version = d.Version()
	return spec, s.rt.Register(d.Workflow())
}

// OneSchedule is the input of what is about one schedule.
type OneSchedule struct {
	Name string `path:"name" maxLength:"100" doc:"name of the schedule"`
}

func (s *Server) getSchedule(ctx context.Context, in *OneSchedule) (*result[schedule.Schedule], error) {
	found, err := s.sight(ctx, auth.View).schedule(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return ok(found), nil
}

type scheduleTimes struct {
	OneSchedule
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"10" doc:"at most this many"`
}

func (s *Server) getScheduleTimes(ctx context.Context, in *scheduleTimes) (*result[api.ScheduleTimes], error) {
	found, err := s.sight(ctx, auth.View).schedule(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	times, err := found.Spec.Next(s.opts.Clock(), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &api.ScheduleTimes{Times: append([]time.Time{}, times...), TimeZone: found.Spec.TimeZone}
	if out.TimeZone == "" {
		out.TimeZone = "UTC"
	}
	return ok(out), nil
}

type updateSchedule struct {
	Keyed
	OneSchedule
	Body schedule.Spec
}

func (s *Server) updateSchedule(ctx context.Context, in *updateSchedule) (*result[schedule.Schedule], error) {
	before, err := s.sight(ctx, auth.Author).schedule(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	if in.Body.Name != in.Name {
		return nil, &bide.Error{Code: bide.CodeInvalidInput, Message: "the schedule cannot be changed", Faults: []bide.Fault{{Path: "name", Message: fmt.Sprintf("is %q, but the path names %q", in.Body.Name, in.Name)}}}
	}
	spec, err := s.prepare(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if err := schedule.Update(ctx, s.rt, spec, in.command(ctx, "")); err != nil {
		return nil, err
	}
	return ok(before), nil
}

type nameSchedule struct {
	Keyed
	OneSchedule
	Body *api.Change
}

func (in *nameSchedule) reason() string {
	return (&changeRun{Body: in.Body}).reason()
}

type scheduleVerb func(ctx context.Context, rt *bide.Runtime, name string, cmd ...bide.Command) (*schedule.Schedule, error)

func (s *Server) changeSchedule(do scheduleVerb) func(context.Context, *nameSchedule) (*result[schedule.Schedule], error) {
	return func(ctx context.Context, in *nameSchedule) (*result[schedule.Schedule], error) {
		v := s.sight(ctx, auth.Author)
		if _, err := v.schedule(ctx, in.Name); err != nil {
			return nil, err
		}
		after, err := do(ctx, s.rt, v.p.Scoped(in.Name), in.command(ctx, in.reason()))
		if err != nil {
			return nil, err
		}
		return ok(v.named(after)), nil
	}
}

func (s *Server) triggerSchedule(ctx context.Context, in *nameSchedule) (*result[schedule.Schedule], error) {
	v := s.sight(ctx, auth.Operate)
	before, err := v.schedule(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	if err := schedule.Trigger(ctx, s.rt, v.p.Scoped(in.Name), in.command(ctx, in.reason())); err != nil {
		return nil, err
	}
	return ok(before), nil
}

type deleteSchedule struct {
	Keyed
	OneSchedule
}

func (s *Server) deleteSchedule(ctx context.Context, in *deleteSchedule) (*struct{}, error) {
	v := s.sight(ctx, auth.Author)
	name := v.p.Scoped(in.Name)
	found, err := schedule.Get(ctx, s.rt, name)
	if err == nil && !v.seesSchedule(&found.Spec) {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no schedule %q", in.Name)
	}
	if err != nil && !errors.Is(err, bide.ErrNotFound) {
		return nil, err
	}
	return nil, schedule.Delete(ctx, s.rt, name, in.command(ctx, "")) // of one that is gone, it gives the first result of the command
}
