// Package trace tells what happened in a run: as a report that a person likes to read and an auditor can
// check, as the difference between two runs, and at points that somebody has marked.
//
// It reads records, and knows nothing of stores but the ledger of a run and small documents.
package trace
