package storetest

import "github.com/bide-dev/bide"

// doc is a document of kind flow.
func doc(id string, rev int64, body string) bide.Document {
	return bide.Document{Kind: "flow", ID: id, Rev: rev, Body: bide.JSON(body), UpdatedAt: start}
}
