// Prints what Calico's own selector parser answers to generated selectors.
//
// A line is a selector (a JSON string), a tab, and the answer: "-" where the parser refuses it; else its canonical form
// (a JSON string), a tab, and one character for each label set of the first lines: "1" where it matches, "0" where not.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strings"

	"github.com/projectcalico/calico/libcalico-go/lib/selector/parser"
)

// How many selectors of each sort are made.
const (
	sound   = 1200
	mutated = 2000
	noise   = 600
)

var labelSets = []map[string]string{
	{},
	{"a": ""},
	{"a": "x"},
	{"a": "xyx", "b": "y"},
	{"a": "y", "b.c/d-e_f": "x"},
	{"in": "x", "has": "y", "not": ""},
	{"all": "x", "global": "y", "contains": "xy"},
	{"b": "x\"y", "starts": "x'y"},
}

var labels = []string{"a", "b", "b.c/d-e_f", "in", "has", "not", "all", "global", "contains", "starts", "-", "0"}
var values = []string{"", "x", "y", "xy", "xyx", "all()", "x\"y", "x'y", " ", "\n", "é"}
var blanks = []string{"", " ", " ", " ", "\t", "  "}

// What mutations put in, and what noise is made of.
var pieces = []string{
	"a", "b", "in", "not in", "notin", "not", "has", "has(", "has(a)", "has( a )", "has (a)", "all()", "all( )", "all ()",
	"all(", "global()", "global( )", "global", "contains", "starts with", "startswith", "starts  with", "starts",
	"ends with", "endswith", "==", "=", "===", "!=", "!", "!!", "&&", "&", "||", "|", "(", ")", "()", "{", "}", "{}", ",",
	"'x'", "\"x\"", "'", "\"", "x", "1", "\n", "\r", "\t", " ", "*", "é", "\u00a0", "in{'x'}", "{'x',}", "{,}", "{'x' 'y'}", "\\",
	";", "==", "&&", "||", "'x'", "a", "b", "(", ")", " ", " ",
}

func pick(dice *rand.Rand, from []string) string { return from[dice.Intn(len(from))] }

func literal(dice *rand.Rand) string {
	value := pick(dice, values)
	if strings.Contains(value, "'") || (!strings.Contains(value, "\"") && dice.Intn(2) == 0) {
		return "\"" + value + "\""
	}
	return "'" + value + "'"
}

func set(dice *rand.Rand) string {
	many := dice.Intn(4)
	inside := make([]string, many)
	for i := range inside {
		inside[i] = pick(dice, blanks) + literal(dice) + pick(dice, blanks)
	}
	comma := ""
	if many > 0 && dice.Intn(4) == 0 {
		comma = ","
	}
	return "{" + strings.Join(inside, ",") + comma + "}"
}

func atom(dice *rand.Rand) string {
	label := pick(dice, labels)
	space := pick(dice, blanks)
	switch dice.Intn(10) {
	case 0:
		return "has(" + space + label + pick(dice, blanks) + ")"
	case 1:
		return "all(" + space + ")"
	case 2:
		return "global(" + space + ")"
	case 3:
		return label + space + "==" + pick(dice, blanks) + literal(dice)
	case 4:
		return label + space + "!=" + pick(dice, blanks) + literal(dice)
	case 5:
		return label + " in" + space + set(dice)
	case 6:
		return label + " not" + space + "in" + pick(dice, blanks) + set(dice)
	case 7:
		return label + " contains" + space + literal(dice)
	case 8:
		return label + " starts" + space + "with" + pick(dice, blanks) + literal(dice)
	default:
		return label + " ends" + space + "with" + pick(dice, blanks) + literal(dice)
	}
}

func tree(dice *rand.Rand, depth int) string {
	space := func() string { return pick(dice, blanks) }
	if depth == 0 {
		return space() + atom(dice) + space()
	}
	switch dice.Intn(6) {
	case 0:
		return space() + "!" + space() + "(" + tree(dice, depth-1) + ")"
	case 1:
		return space() + strings.Repeat("!", dice.Intn(4)) + atom(dice) + space()
	case 2:
		return tree(dice, depth-1) + "&&" + tree(dice, depth-1)
	case 3:
		return tree(dice, depth-1) + "||" + tree(dice, depth-1)
	case 4:
		return space() + "(" + tree(dice, depth-1) + ")" + space()
	default:
		return space() + atom(dice) + space()
	}
}

func mutate(dice *rand.Rand, text string) string {
	at := dice.Intn(len(text) + 1)
	end := at + dice.Intn(4)
	if end > len(text) || dice.Intn(3) == 0 {
		end = at
	}
	put := ""
	if dice.Intn(3) != 0 || end == at {
		put = pick(dice, pieces)
	}
	return text[:at] + put + text[end:]
}

func edges() []string {
	return []string{
		"", " ", "\t \t", "\n", strings.Repeat("a", 512) + " == 'x'", strings.Repeat("a", 513) + " == 'x'",
		"has(" + strings.Repeat("a", 512) + ")", "has(" + strings.Repeat("a", 513) + ")",
		strings.Repeat("(", 2000) + "all()" + strings.Repeat(")", 2000), strings.Repeat("(", 2000) + "all()" + strings.Repeat(")", 1999),
		strings.Repeat("!", 1001) + "has(a)", "a == 'x' && b == 'y' || a != 'y' && !has(b)", "(a == 'x' && b == 'y') && has(a)",
		"a == 'x' && (b == 'y' && has(a))", "a in {'y', 'x', 'y'}", "a in{'x'}", "ain {'x'}", "a inb {'x'}", "a starts withx 'x'",
	}
}

func main() {
	dice := rand.New(rand.NewSource(14))
	all := edges()
	for range sound {
		all = append(all, tree(dice, dice.Intn(4)))
	}
	for range mutated {
		text := mutate(dice, tree(dice, dice.Intn(3)))
		if dice.Intn(4) == 0 {
			text = mutate(dice, text)
		}
		all = append(all, text)
	}
	for range noise {
		text := ""
		for range 1 + dice.Intn(6) {
			text += pick(dice, pieces) + pick(dice, blanks)
		}
		all = append(all, text)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, set := range labelSets {
		fmt.Fprintf(out, "#\t%s\n", quoted(set))
	}
	seen := map[string]bool{}
	for _, text := range all {
		// A JSON string holds no broken UTF-8, and neither does an object of an API server.
		if seen[text] || strings.ToValidUTF8(text, "") != text {
			continue
		}
		seen[text] = true
		parsed, err := parser.Parse(text)
		if err != nil {
			fmt.Fprintf(out, "%s\t-\n", quoted(text))
			continue
		}
		matches := ""
		for _, set := range labelSets {
			if parsed.Evaluate(set) {
				matches += "1"
			} else {
				matches += "0"
			}
		}
		fmt.Fprintf(out, "%s\t%s\t%s\n", quoted(text), quoted(parsed.String()), matches)
	}
}

func quoted(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}
