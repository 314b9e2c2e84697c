package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/bide-dev/bide"
)

// Spending is what calls took together. Sums are over what is known; the counters beside
// them say of how many calls it is not.
type Spending struct {
	// Calls counts the answers, those included that did not fit the output asked for; Failed the attempts without one.
	Calls  int `json:"calls"`
	Failed int `json:"failed"`

	Input      int64 `json:"input_tokens"`
	Output     int64 `json:"output_tokens"`
	CacheRead  int64 `json:"cache_read_tokens"`
	CacheWrite int64 `json:"cache_write_tokens"`
	Reasoning  int64 `json:"reasoning_tokens"`
	USD        USD   `json:"usd"`

	Uncounted int `json:"uncounted"` // calls whose tokens are not known
	Unpriced  int `json:"unpriced"`  // calls whose cost is not known

	ByModel map[string]*Spending `json:"by_model,omitempty"`
}

// Add adds a response.
func (s *Spending) Add(r *Response) {
	if s.ByModel == nil {
		s.ByModel = map[string]*Spending{}
	}
	if s.ByModel[r.Model] == nil {
		s.ByModel[r.Model] = &Spending{}
	}
	for _, sum := range []*Spending{s, s.ByModel[r.Model]} {
		sum.add(r)
	}
}

func (s *Spending) add(r *Response) {
	plus := func(sum *int64, n *int64) {
		if n != nil {
			*sum += *n
		}
	}
	s.Calls++
	plus(&s.Input, r.Usage.Input)
	plus(&s.Output, r.Usage.Output)
	plus(&s.CacheRead, r.Usage.CacheRead)
	plus(&s.CacheWrite, r.Usage.CacheWrite)
	plus(&s.Reasoning, r.Usage.Reasoning)
	if !r.Usage.Known() {
		s.Uncounted++
	}
	if r.Cost == nil {
		s.Unpriced++
		return
	}
	s.USD += r.Cost.USD
}

// Merge adds other sums, models apart from models.
func (s *Spending) Merge(o *Spending) {
	s.Calls += o.Calls
	s.Failed += o.Failed
	s.Input += o.Input
	s.Output += o.Output
	s.CacheRead += o.CacheRead
	s.CacheWrite += o.CacheWrite
	s.Reasoning += o.Reasoning
	s.USD += o.USD
	s.Uncounted += o.Uncounted
	s.Unpriced += o.Unpriced
	for model, of := range o.ByModel {
		if s.ByModel == nil {
			s.ByModel = map[string]*Spending{}
		}
		if s.ByModel[model] == nil {
			s.ByModel[model] = &Spending{}
		}
		s.ByModel[model].Merge(of)
	}
}

// Spent adds up the calls in a run's ledger, whose records are given from the first on. Records that are
// encrypted and could not be opened do not count.
func Spent(records iter.Seq2[bide.Record, error]) (Spending, error) {
	var s Spending
	err := s.fold(records)
	return s, err
}

func (s *Spending) fold(records iter.Seq2[bide.Record, error]) error {
	calls := map[int64][]bool{} // by step: which effects are calls
	for rec, err := range records {
		if err != nil {
			return err
		}
		data, err := rec.Decode()
		if errors.Is(err, bide.ErrSealed) { // of a run that was shredded: nobody knows any more
			continue
		}
		if err != nil {
			return err
		}
		isCall := func(effect int) bool { return effect < len(calls[rec.Step]) && calls[rec.Step][effect] }
		switch d := data.(type) {
		case *bide.StepPlanned:
			for _, e := range d.Plan.Effects {
				calls[rec.Step] = append(calls[rec.Step], e.Type == Type)
			}
		case *bide.EffectCompleted:
			if isCall(d.Effect) {
				s.addRaw(d.Result)
			}
		case *bide.EffectLate:
			if isCall(d.Effect) && d.Result != nil {
				s.addRaw(d.Result)
			}
		case *bide.EffectFailed:
			switch {
			case !isCall(d.Effect):
			case d.Result != nil:
				s.addRaw(d.Result)
			default:
				s.Failed++
			}
		}
	}
	return nil
}

// addRaw adds a recorded result. What a person gave in place of an answer counts as a call of which nothing is known.
func (s *Spending) addRaw(result bide.JSON) {
	var r Response
	if err := json.Unmarshal(result, &r); err != nil || r.Model == "" {
		s.add(&Response{})
		return
	}
	s.Add(&r)
}

// Ledgers is where the ledgers of runs are; a *bide.Runtime is one.
type Ledgers interface {
	Ledger(ctx context.Context, runID string, from int64) iter.Seq2[bide.Record, error]
	Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error)
}

var _ Ledgers = (*bide.Runtime)(nil)

// SpentByTree adds up the calls of a run and of all runs below it. It reads all their ledgers.
func SpentByTree(ctx context.Context, in Ledgers, runID string) (Spending, error) {
	var s Spending
	for queue := []string{runID}; len(queue) > 0; queue = queue[1:] {
		if err := s.fold(in.Ledger(ctx, queue[0], 1)); err != nil {
			return s, fmt.Errorf("run %s: %w", queue[0], err)
		}
		for q := (bide.RunQuery{Parent: queue[0]}); ; {
			page, err := in.Runs(ctx, q)
			if err != nil {
				return s, fmt.Errorf("children of run %s: %w", queue[0], err)
			}
			for _, r := range page.Runs {
				queue = append(queue, r.ID)
			}
			if q.Cursor = page.Next; page.Next == "" {
				break
			}
		}
	}
	return s, nil
}
