// Package ledger makes the ledgers of runs evidence: it signs what was recorded, and finds what
// was changed afterwards (K27).
//
// A [Log] is an append-only Merkle tree over the heads of runs, kept in the store itself. Each
// [Checkpoint] of it is a signed note that anybody with the public key can check, offline. A [Notary] writes
// them while runs go on. [VerifyStore] holds a store to its checkpoints, [CheckRun] one run from anywhere,
// and a [RunProof] is all that is needed to hold a copy of one run to a checkpoint.
//
// The package knows the store through its port alone. It knows nothing of files, formats for
// moving runs, or the command line.
package ledger
