package ledger

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// tree is the right edge of a growing Merkle tree (RFC 6962): the hashes of its complete
// subtrees, the largest first. It is all that is needed to append and to name the root.
type tree struct {
	size int64
	edge []tlog.Hash
}

func (t *tree) append(leaf string) {
	t.edge = append(t.edge, tlog.RecordHash([]byte(leaf)))
	t.size++
	for range bits.TrailingZeros64(uint64(t.size)) {
		n := len(t.edge)
		t.edge = append(t.edge[:n-2], tlog.NodeHash(t.edge[n-2], t.edge[n-1]))
	}
}

// root is the tree's hash; that of an empty tree is never signed.
func (t *tree) root() (h tlog.Hash) {
	for i := len(t.edge) - 1; i >= 0; i-- {
		if i == len(t.edge)-1 {
			h = t.edge[i]
		} else {
			h = tlog.NodeHash(t.edge[i], h)
		}
	}
	return h
}

// whole reports whether the edge has as many hashes as a tree of the size.
func (t *tree) whole() bool { return t.size >= 0 && bits.OnesCount64(uint64(t.size)) == len(t.edge) }

// hashes keeps all hashes of a tree in the order of tlog.StoredHashIndex, for proofs.
type hashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		out[i] = h[at]
	}
	return out, nil
}

func storedHashes(leaves []tlog.Hash) (h hashes, err error) {
	for i, leaf := range leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(i), leaf, h)
		if err != nil {
			return nil, err
		}
		h = append(h, more...)
	}
	return h, nil
}
