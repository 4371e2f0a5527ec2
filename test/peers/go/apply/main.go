// Applies and updates objects as structured-merge-diff does. Each line of its input is one operation, each line of its output what
// came of it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

const types = typed.YAMLObject(`types:
- name: root
  map:
    fields:
    - {name: a, type: {scalar: string}}
    - {name: deep, type: {map: {fields: [{name: b, type: {scalar: string}}, {name: c, type: {scalar: string}}]}}}
    - {name: map, type: {map: {elementType: {scalar: string}}}}
    - {name: list, type: {list: {elementType: {namedType: item}, elementRelationship: associative, keys: [name]}}}
    - {name: set, type: {list: {elementType: {scalar: string}, elementRelationship: associative}}}
- name: item
  map:
    fields:
    - {name: name, type: {scalar: string}}
    - {name: x, type: {scalar: string}}
    - {name: inner, type: {map: {fields: [{name: p, type: {scalar: string}}, {name: q, type: {scalar: string}}]}}}
    - {name: sub, type: {list: {elementType: {namedType: part}, elementRelationship: associative, keys: [name]}}}
- name: part
  map:
    fields:
    - {name: name, type: {scalar: string}}
    - {name: "y", type: {scalar: string}}
`)

type operation struct {
	// `create`, `apply` or `update`.
	Do      string `json:"do"`
	Manager string `json:"manager"`
	Force   bool   `json:"force"`
	Object  any    `json:"object"`
}

type outcome struct {
	Object    any                        `json:"object"`
	Conflicts json.RawMessage            `json:"conflicts"`
	Owned     map[string]json.RawMessage `json:"owned"`
}

type same struct{}

func (same) Convert(object *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return object, nil
}
func (same) IsMissingVersionError(error) bool { return false }

func main() {
	parser, err := typed.NewParser(types)
	must(err)
	root := parser.Type("root")
	updater := (&merge.UpdaterBuilder{Converter: same{}}).BuildUpdater()
	var live *typed.TypedValue
	var managers fieldpath.ManagedFields
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var one operation
		must(json.Unmarshal(lines.Bytes(), &one))
		object, err := root.FromUnstructured(one.Object)
		must(err)
		if one.Do == "create" {
			live, err = root.FromUnstructured(map[string]any{})
			must(err)
			managers = fieldpath.ManagedFields{}
		}
		conflicts := fieldpath.NewSet()
		if one.Do == "apply" {
			next, nextManagers, err := updater.Apply(live, object, "v1", managers, one.Manager, one.Force)
			var found merge.Conflicts
			if errors.As(err, &found) {
				for _, conflict := range found {
					conflicts.Insert(conflict.Path)
				}
			} else {
				must(err)
				managers = nextManagers
				if next != nil {
					live = next
				}
			}
		} else {
			live, managers, err = updater.Update(live, object, "v1", managers, one.Manager)
			must(err)
		}
		owned := map[string]json.RawMessage{}
		for manager, set := range managers {
			owned[manager] = jsonOf(set.Set())
		}
		must(json.NewEncoder(out).Encode(outcome{live.AsValue().Unstructured(), jsonOf(conflicts), owned}))
	}
	must(lines.Err())
}

func jsonOf(set *fieldpath.Set) json.RawMessage {
	text, err := set.ToJSON()
	must(err)
	return text
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
