package flow

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	exprparser "github.com/expr-lang/expr/parser"
)

// Bounds of an expression.
const (
	maxExpression = 8 << 10 // bytes of text
	maxWork       = 1 << 20 // visits of a node in one evaluation
	maxBytes      = 8 << 20 // bytes of new strings, lists and objects in one evaluation
)

// expression is one that is ready to be evaluated.
type expression struct {
	eval   eval
	secret string // the name, when the expression is secret("name") and nothing else
}

// eval evaluates a part of an expression.
type eval func(f *frame) (any, error)

// frame is the state of one evaluation.
type frame struct {
	*reading
	locals []any // the values of let
	loops  []pointer
	work   int
	bytes  int
}

// pointer is where a predicate such as that of filter stands: #, #index and #acc.
type pointer struct {
	item  any
	index int
	acc   any
}

var (
	errWork  = fmt.Errorf("the expression takes more than %d steps", maxWork)
	errBytes = fmt.Errorf("the expression makes more than %d bytes", maxBytes)
)

// visit counts a step of an evaluation.
func (f *frame) visit() error {
	if f.work++; f.work > maxWork {
		return errWork
	}
	return nil
}

// made counts bytes of new values.
func (f *frame) made(n int) error {
	if f.bytes += n; f.bytes > maxBytes || n < 0 {
		return errBytes
	}
	return nil
}

// exprCompiler turns the tree that expr parses into an eval, and notes the names that it uses.
type exprCompiler struct {
	refs   []*reference
	locals []string
	depth  int // of predicates
	err    *exprError
}

// exprError is a fault at a character of an expression.
type exprError struct {
	offset  int
	message string
	word    string   // the misspelt name, and
	names   []string // what may have been meant
}

func (c *exprCompiler) fail(n ast.Node, format string, args ...any) eval {
	if c.err == nil {
		c.err = &exprError{offset: n.Location().From, message: fmt.Sprintf(format, args...)}
	}
	return nil
}

// compileExpression parses text. The references are still to be resolved.
func compileExpression(text string) (*expression, []*reference, *exprError) {
	if len(text) > maxExpression {
		return nil, nil, &exprError{message: fmt.Sprintf("the expression has %d bytes, more than %d", len(text), maxExpression)}
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil, &exprError{message: "the expression is empty"}
	}
	tree, err := exprparser.Parse(text)
	if err != nil {
		var e *file.Error
		if errors.As(err, &e) {
			return nil, nil, &exprError{offset: e.From, message: "the expression cannot be read: " + e.Message}
		}
		return nil, nil, &exprError{message: "the expression cannot be read: " + firstLine(err.Error())}
	}
	var c exprCompiler
	if name, ok := c.secretCall(tree.Node); ok {
		return &expression{secret: name}, nil, c.err
	}
	e := &expression{eval: c.node(tree.Node)}
	if c.err != nil {
		return nil, nil, c.err
	}
	return e, c.refs, nil
}

// secretCall recognizes secret("name").
func (c *exprCompiler) secretCall(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallNode)
	if !ok || !isName(call.Callee, "secret") {
		return "", false
	}
	if len(call.Arguments) == 1 {
		if s, ok := call.Arguments[0].(*ast.StringNode); ok && s.Value != "" {
			return s.Value, true
		}
	}
	c.fail(n, `secret takes one name in quotes, as in secret("token")`)
	return "", true
}

func isName(n ast.Node, name string) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == name
}

// node compiles one node of the tree.
func (c *exprCompiler) node(n ast.Node) eval {
	inner := c.kind(n)
	if c.err != nil {
		return nil
	}
	return func(f *frame) (any, error) {
		if err := f.visit(); err != nil {
			return nil, err
		}
		return inner(f)
	}
}

func (c *exprCompiler) nodes(list []ast.Node) []eval {
	out := make([]eval, len(list))
	for i, n := range list {
		out[i] = c.node(n)
	}
	return out
}

func constant(v any) eval { return func(*frame) (any, error) { return v, nil } }

func (c *exprCompiler) kind(n ast.Node) eval {
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(nil)
	case *ast.BoolNode:
		return constant(n.Value)
	case *ast.IntegerNode:
		return constant(int64(n.Value))
	case *ast.FloatNode:
		return constant(n.Value)
	case *ast.StringNode:
		return constant(n.Value)
	case *ast.IdentifierNode:
		return c.name(n, nil)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.ChainNode:
		return c.node(n.Node)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		cond, yes, no := c.node(n.Cond), c.node(n.Exp1), c.node(n.Exp2)
		return func(f *frame) (any, error) {
			ok, err := truth(cond(f))
			if err != nil {
				return nil, err
			}
			if ok {
				return yes(f)
			}
			return no(f)
		}
	case *ast.ArrayNode:
		return c.list(n)
	case *ast.MapNode:
		return c.object(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.call(n, id.Value, n.Arguments)
		}
		return c.fail(n, "values have no methods")
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.PredicateNode:
		return c.fail(n, "a predicate stands only in functions such as filter")
	}
	return c.fail(n, "this form of expression is not part of the profile")
}

// name reads a name; chain is what is read of it, as far as that is known beforehand.
func (c *exprCompiler) name(n *ast.IdentifierNode, chain []string) eval {
	for i := len(c.locals) - 1; i >= 0; i-- {
		if c.locals[i] == n.Value {
			return func(f *frame) (any, error) { return f.locals[i], nil }
		}
	}
	ref := &reference{name: n.Value, chain: chain, offset: n.Location().From}
	c.refs = append(c.refs, ref)
	return func(f *frame) (any, error) { return f.read(ref) }
}

func (c *exprCompiler) member(n *ast.MemberNode) eval {
	if chain, root := staticChain(n); root != nil {
		of := c.name(root, chain)
		return func(f *frame) (any, error) {
			v, err := of(f)
			for i := 0; err == nil && i < len(chain); i++ {
				if err = f.visit(); err == nil {
					v, err = index(v, chain[i])
				}
			}
			return v, err
		}
	}
	of, at := c.node(n.Node), c.node(n.Property)
	return func(f *frame) (any, error) {
		v, err := of(f)
		if err != nil {
			return nil, err
		}
		k, err := at(f)
		if err != nil {
			return nil, err
		}
		return index(v, k)
	}
}

// staticChain returns the members that n reads of a name, when they are all known.
func staticChain(n ast.Node) (chain []string, root *ast.IdentifierNode) {
	for {
		switch m := n.(type) {
		case *ast.ChainNode:
			n = m.Node
		case *ast.MemberNode:
			s, ok := m.Property.(*ast.StringNode)
			if !ok {
				return nil, nil
			}
			chain = append([]string{s.Value}, chain...)
			n = m.Node
		case *ast.IdentifierNode:
			return chain, m
		default:
			return nil, nil
		}
	}
}

func (c *exprCompiler) slice(n *ast.SliceNode) eval {
	of := c.node(n.Node)
	bound := func(n ast.Node) eval {
		if n == nil {
			return constant(nil)
		}
		return c.node(n)
	}
	from, to := bound(n.From), bound(n.To)
	return func(f *frame) (any, error) {
		v, err := of(f)
		if err != nil {
			return nil, err
		}
		a, err := from(f)
		if err != nil {
			return nil, err
		}
		b, err := to(f)
		if err != nil {
			return nil, err
		}
		return slice(v, a, b)
	}
}

func (c *exprCompiler) list(n *ast.ArrayNode) eval {
	items := c.nodes(n.Nodes)
	return func(f *frame) (any, error) {
		if err := f.made(16 * len(items)); err != nil {
			return nil, err
		}
		out := make([]any, len(items))
		for i, item := range items {
			var err error
			if out[i], err = item(f); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

func (c *exprCompiler) object(n *ast.MapNode) eval {
	names, values := make([]eval, len(n.Pairs)), make([]eval, len(n.Pairs))
	for i, p := range n.Pairs {
		pair, ok := p.(*ast.PairNode)
		if !ok {
			return c.fail(p, "an object has names and values")
		}
		names[i], values[i] = c.node(pair.Key), c.node(pair.Value)
	}
	return func(f *frame) (any, error) {
		if err := f.made(48 * len(names)); err != nil {
			return nil, err
		}
		out := make(map[string]any, len(names))
		for i := range names {
			k, err := names[i](f)
			if err != nil {
				return nil, err
			}
			name, ok := k.(string)
			if !ok {
				return nil, fmt.Errorf("the name of a member is a string, not %s", describe(k))
			}
			if out[name], err = values[i](f); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

func (c *exprCompiler) let(n *ast.VariableDeclaratorNode) eval {
	value := c.node(n.Value)
	c.locals = append(c.locals, n.Name)
	body := c.node(n.Expr)
	c.locals = c.locals[:len(c.locals)-1]
	return func(f *frame) (any, error) {
		v, err := value(f)
		if err != nil {
			return nil, err
		}
		f.locals = append(f.locals, v)
		out, err := body(f)
		f.locals = f.locals[:len(f.locals)-1]
		return out, err
	}
}

func (c *exprCompiler) pointer(n *ast.PointerNode) eval {
	if c.depth == 0 {
		return c.fail(n, "# stands only in functions such as filter")
	}
	switch n.Name {
	case "":
		return func(f *frame) (any, error) { return f.loops[len(f.loops)-1].item, nil }
	case "index":
		return func(f *frame) (any, error) { return int64(f.loops[len(f.loops)-1].index), nil }
	case "acc":
		return func(f *frame) (any, error) { return f.loops[len(f.loops)-1].acc, nil }
	}
	return c.fail(n, "#%s is not known; there are #, #index and, in reduce, #acc", n.Name)
}
