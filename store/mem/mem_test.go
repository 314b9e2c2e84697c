package mem_test

import (
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/storetest"
)

func open(*testing.T) bide.Store { return mem.New() }

func TestStore(t *testing.T) { storetest.Run(t, open) }

func TestCrash(t *testing.T) { storetest.Crash(t, open) }

func TestDelete(t *testing.T) { storetest.Delete(t, open) }
