// Prints src/machinery/rest/protobuf-messages.ts: the messages of the built-in kinds, as the Go types of k8s.io/api have them.
package main

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"patchbay.dev/peers/kinds"
)

// Messages that are no objects in JSON; the decoder knows what they are.
var special = map[reflect.Type]string{
	reflect.TypeOf(metav1.Time{}):        "time",
	reflect.TypeOf(metav1.MicroTime{}):   "microTime",
	reflect.TypeOf(metav1.FieldsV1{}):    "fields",
	reflect.TypeOf(resource.Quantity{}):  "quantity",
	reflect.TypeOf(intstr.IntOrString{}): "intOrString",
}

var messages = map[string]string{}
var names = map[reflect.Type]string{}
var taken = map[string]reflect.Type{}

func main() {
	var roots []string
	for _, kind := range kinds.All {
		roots = append(roots, fmt.Sprintf("%s %s %s", kind.APIVersion, kind.Name, nameOf(reflect.TypeOf(kind.Object).Elem())))
	}
	fmt.Print(header)
	fmt.Println("export const kindLines = `")
	for _, root := range roots {
		fmt.Println(root)
	}
	fmt.Print("`\n\n", legend)
	fmt.Println("export const messageLines = `")
	var all []string
	for name := range messages {
		all = append(all, name)
	}
	sort.Strings(all)
	for _, name := range all {
		line := name
		for _, word := range strings.Fields(messages[name]) {
			if len(line)+1+len(word) > 120 {
				fmt.Println(line)
				line = " "
			}
			line += " " + word
		}
		fmt.Println(line)
	}
	fmt.Println("`")
}

func nameOf(t reflect.Type) string {
	if name, ok := names[t]; ok {
		return name
	}
	name := t.Name()
	if other, ok := taken[name]; ok && other != t {
		parts := strings.Split(t.PkgPath(), "/")
		group := parts[len(parts)-2]
		name = strings.ToUpper(group[:1]) + group[1:] + name
	}
	taken[name], names[t] = t, name
	messages[name] = ""
	messages[name] = fieldsOf(t)
	return name
}

func fieldsOf(t reflect.Type) string {
	var words []string
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		proto := field.Tag.Get("protobuf")
		if proto == "" || proto == "-" {
			continue
		}
		number := strings.Split(proto, ",")[1]
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = "^"
		}
		words = append(words, fmt.Sprintf("%s=%s%s", name, number, typeOf(field.Type, strings.Contains(options, "omitempty"))))
	}
	return strings.Join(words, " ")
}

func typeOf(t reflect.Type, omitEmpty bool) string {
	if name, ok := special[t]; ok {
		return ":" + name
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + typeOf(t.Elem(), true)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return ":bytes"
		}
		return "[]" + typeOf(t.Elem(), true)
	case reflect.Map:
		if t.Elem().Kind() == reflect.Slice && t.Elem().Elem().Kind() == reflect.String {
			return "{}:strings"
		}
		return "{}" + typeOf(t.Elem(), true)
	case reflect.Struct:
		return ":" + nameOf(t)
	}
	word := map[reflect.Kind]string{reflect.String: "", reflect.Bool: ":bool", reflect.Int32: ":int", reflect.Int64: ":int"}
	kind, ok := word[t.Kind()]
	if !ok {
		panic(t.String())
	}
	if omitEmpty {
		return kind
	}
	return "!" + kind
}

const header = "" +
	"// Printed by test/peers/go/shapes from the types of k8s.io/api: names and numbers of fields, and which of them have an empty value.\n\n" +
	"/** Kinds that are sent as protobuf: `apiVersion`, kind and message. */\n"

const legend = "" +
	"/**\n" +
	" * Their messages: `name=number`, and `:type` where it is no string. `[]` is a list and `{}` a map of it; `^` are fields that stand\n" +
	" * beside the others in JSON. An empty scalar is an absent one, but after `*` (a pointer in Go) or `!` (always in JSON). A message\n" +
	" * that is no pointer is always there in Go.\n" +
	" */\n"
