package flow_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestExpressions(t *testing.T) {
	input := json.RawMessage(`{"n":7,"big":9007199254740993,"huge":123456789012345678901234567890,"dec":1.50,"s":"Ada Lovelace","l":[3,1,2],"o":{"b":2,"a":1},"rows":[{"k":"x","v":1},{"k":"y","v":2},{"k":"x","v":3}]}`)
	var b strings.Builder
	b.WriteString("- return:\n")
	cases := [][2]string{
		{`input.n + 1`, "8"}, {`input.n / 2`, "3.5"}, {`6 / 2`, "3"}, {`input.n % 4`, "3"}, {`2 ** 10`, "1024"}, {`-input.n`, "-7"}, {`+input.n`, "7"},
		{`input.big + 1`, "9007199254740994"}, {`input.big == 9007199254740993`, "true"}, {`input.big == 9007199254740992`, "false"},
		{`input.huge > input.big`, "true"}, {`input.huge == input.huge`, "true"}, {`input.dec == 1.5`, "true"}, {`[input.dec]`, "[1.50]"}, {`input.dec + 1`, "2.5"},
		{`"a" + "b"`, `"ab"`}, {`"b" > "a"`, "true"}, {`input.s contains "Love"`, "true"}, {`input.s startsWith "Ada" and not (input.s endsWith "x")`, "true"},
		{`input.s matches "^[A-Z]"`, "true"}, {`input.s[0:3]`, `"Ada"`}, {`input.l[-1]`, "2"}, {`input.l[1:]`, "[1,2]"}, {`input.l[9]`, "null"},
		{`2 in input.l`, "true"}, {`"a" in input.o`, "true"}, {`4 not in input.l`, "true"}, {`1..3`, "[1,2,3]"},
		{`input.x?.y ?? "none"`, `"none"`}, {`input.x.y.z == nil`, "true"}, {`input.n > 5 ? "big" : "small"`, `"big"`},
		{`sort(input.l)`, "[1,2,3]"}, {`reverse(sort(input.l))`, "[3,2,1]"}, {`min(input.l) + max(1, 2)`, "3"}, {`sum(input.l)`, "6"}, {`sum(input.rows, .v)`, "6"}, {`mean(input.l)`, "2"},
		{`keys(input.o)`, `["a","b"]`}, {`values(input.o)`, "[1,2]"}, {`len(input.s)`, "12"}, {`filter(input.rows, .k == "x") | map(.v)`, "[1,3]"},
		{`groupBy(input.rows, .k)["x"][1].v`, "3"}, {`map(sortBy(input.rows, .v, "desc"), .v)`, "[3,2,1]"}, {`reduce(input.l, #acc * 10 + #)`, "312"}, {`reduce(input.l, #acc + #, 100)`, "106"},
		{`count(input.l, # > 1)`, "2"}, {`find(input.rows, .v > 1).k`, `"y"`}, {`findIndex(input.l, # == 9)`, "-1"}, {`one(input.l, # == 1)`, "true"}, {`none(input.l, # > 3)`, "true"},
		{`map(input.l, ({"i": #index, "v": #}))[0]`, `{"i":0,"v":3}`}, {`let x = input.n; x * x`, "49"}, {`upper(trim(" a "))`, `"A"`}, {`split("a,b", ",")`, `["a","b"]`}, {`join(["a", "b"], "-")`, `"a-b"`},
		{`replace("aa", "a", "b")`, `"bb"`}, {`int("42") + int(1.9)`, "43"}, {`float("1.5") * 2`, "3"}, {`round(2.5)`, "3"}, {`floor(-1.5)`, "-2"}, {`ceil(1.2)`, "2"}, {`abs(-3)`, "3"},
		{`string(input.dec) + string(nil)`, `"1.50"`}, {`toJSON(input.o)`, `"{\"a\":1,\"b\":2}"`}, {`fromJSON("[1.10]")`, "[1.10]"}, {`merge(input.o, {"a": 9})`, `{"a":9,"b":2}`}, {`concat([1], [2, 3])`, "[1,2,3]"},
		{`flatten([[1], 2])`, "[1,2]"}, {`uniq([1, 1.0, 2])`, "[1,2]"}, {`first(input.l)`, "3"}, {`last([])`, "null"}, {`type(input.l)`, `"list"`}, {`[1, [2]] == [1, [2]]`, "true"}, {`{"a": 1} == {"a": 2}`, "false"},
		{`all([], false)`, "true"}, {`any(input.l, # == 2)`, "true"}, {`run.now`, `"2026-01-01T00:00:00Z"`}, {`run.flow`, `"a"`}, {`nil == false`, "false"},
	}
	want := make([]string, len(cases))
	for i, c := range cases {
		raw, err := json.Marshal("{{ " + c[0] + " }}")
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("  - " + string(raw) + "\n")
		want[i] = c[1]
	}
	run := newHost(t, nil).start(yamlOf(b.String()), input)
	var got []json.RawMessage
	if err := json.Unmarshal(run.Output, &got); err != nil {
		t.Fatalf("run is %s (%v): %v", run.Status, run.Error, err)
	}
	for i := range cases {
		if string(got[i]) != want[i] {
			t.Errorf("%s = %s, want %s", cases[i][0], got[i], want[i])
		}
	}
}

func TestExpressionsThatCannotBeEvaluated(t *testing.T) {
	for src, message := range map[string]string{
		`1 + "a"`:                 `+ cannot join 1 and the string "a"`,
		`1 < "a"`:                 `1 and the string "a" cannot be compared`,
		`9223372036854775807 + 1`: "too large a number",
		`1 % 0`:                   "division by zero",
		`"a".b`:                   `has no member`,
		`[1]["a"]`:                "the index of a list: a whole number is needed",
		`upper(1)`:                "upper: a string is needed, not 1",
		`map(5, #)`:               "map: a list is needed, not 5",
		`sort([1, "a"])`:          "cannot be compared",
		`{"a": 1} in 5`:           "in stands before a list or an object, not 5",
		`1..100000000`:            "more than 8388608 bytes",
		`int("x")`:                `int: the string "x" is not a number`,
		`fromJSON("{")`:           "fromJSON: ",
		`not 5`:                   "a condition is true or false, not 5",
		`replace(join(map(1..3000, "aaaaaaaaaa")), "a", join(map(1..3000, "b")))`: "more than 8388608 bytes",
	} {
		raw, err := json.Marshal("{{ " + src + " }}")
		if err != nil {
			t.Fatal(err)
		}
		failed(t, newHost(t, nil).start(yamlOf("- return: "+string(raw)), nil), "node_error", message)
	}
}
