//go:build !unix

package engine

// lockWorker does not know here: what a former process left is taken over when its lease ends.
func lockWorker(string) (sole bool, unlock func() error, err error) {
	return false, func() error { return nil }, nil
}
