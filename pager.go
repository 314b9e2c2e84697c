package bide

// pager says how many records to read at once, so that a page has about so many bytes, however
// large records are: after a page that has more, the next has fewer records.
type pager struct {
	limit int // records of the next page
	most  int
	bytes int
}

// How records are read: many at once by who reads them all, few by who follows them, since
// thousands may do so at once, and each holds its page until its reader has taken it.
const (
	ledgerPage  = 500
	ledgerBytes = 1 << 20
	watchPage   = 8
	watchBytes  = 64 << 10
)

func ledgerPager() *pager { return &pager{limit: ledgerPage, most: ledgerPage, bytes: ledgerBytes} }

func watchPager() *pager { return &pager{limit: watchPage, most: ledgerPage, bytes: watchBytes} }

// read takes note of the bytes of a page.
func (p *pager) read(bytes int) {
	switch {
	case bytes > p.bytes:
		p.limit = max(1, int(int64(p.limit)*int64(p.bytes)/int64(bytes)))
	case 2*bytes <= p.bytes:
		p.limit = min(2*p.limit, p.most)
	}
}
