package bench

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// profiles of this process.
type profiles struct{ cpu *os.File }

func (p *profiles) start(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	runtime.SetMutexProfileFraction(10)
	runtime.SetBlockProfileRate(10_000) // ns
	if p.cpu, err = os.Create(filepath.Join(dir, "cpu")); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.cpu)
}

func (p *profiles) stop(dir string) error {
	pprof.StopCPUProfile()
	errs := []error{p.cpu.Close()}
	for _, name := range []string{"allocs", "mutex", "block"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			err = errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
