// Prints random objects of every kind that clients send as protobuf, one a line: the body as client-go sends it, and its JSON. With
// `read` it prints the JSON of the bodies of its input, one a line, as client-go reads them.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	"patchbay.dev/peers/kinds"
)

func main() {
	if os.Args[1] == "read" {
		read()
		return
	}
	seed, _ := strconv.ParseInt(os.Args[1], 10, 64)
	rounds, _ := strconv.Atoi(os.Args[2])
	random := rand.New(rand.NewSource(seed))
	scheme := runtime.NewScheme()
	serializer := protobuf.NewSerializer(scheme, scheme)
	for _, kind := range kinds.All {
		for round := 0; round < rounds; round++ {
			value := reflect.New(reflect.TypeOf(kind.Object).Elem())
			// The first is empty, the second has every field.
			fill(value.Elem(), random, []float64{0, 1, 0.5}[min(round, 2)], 0)
			object := value.Interface().(runtime.Object)
			object.GetObjectKind().SetGroupVersionKind(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Name))
			body, err := runtime.Encode(serializer, object)
			if err != nil {
				panic(err)
			}
			text, err := json.Marshal(object)
			if err != nil {
				panic(err)
			}
			fmt.Printf("%s %s\n", base64.StdEncoding.EncodeToString(body), text)
		}
	}
}

func read() {
	scheme := runtime.NewScheme()
	for _, kind := range kinds.All {
		gvk := schema.FromAPIVersionAndKind(kind.APIVersion, kind.Name)
		scheme.AddKnownTypeWithName(gvk, kind.Object.(runtime.Object))
	}
	serializer := protobuf.NewSerializer(scheme, scheme)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		body, err := base64.StdEncoding.DecodeString(lines.Text())
		if err != nil {
			panic(err)
		}
		object, _, err := serializer.Decode(body, nil, nil)
		if err != nil {
			panic(err)
		}
		text, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(text))
	}
}

// fill sets each field with a chance of `some`, deeper ones less often.
func fill(value reflect.Value, random *rand.Rand, some float64, depth int) {
	if depth > 12 || random.Float64() > some {
		return
	}
	switch value.Interface().(type) {
	case metav1.Time:
		value.Set(reflect.ValueOf(metav1.Unix(random.Int63n(4e9)-1e9, 0)))
		return
	case metav1.MicroTime:
		value.Set(reflect.ValueOf(metav1.NewMicroTime(time.UnixMicro(random.Int63n(4e15) - 1e15))))
		return
	case resource.Quantity:
		value.Set(reflect.ValueOf(resource.MustParse([]string{"0", "1Gi", "500m", "1e3", "2"}[random.Intn(5)])))
		return
	case metav1.FieldsV1:
		value.Set(reflect.ValueOf(metav1.FieldsV1{Raw: []byte(`{"f:data":{"f:a":{},".":{}}}`)}))
		return
	case intstr.IntOrString:
		value.Set(reflect.ValueOf([]intstr.IntOrString{intstr.FromInt32(-5), intstr.FromString("http"), intstr.FromInt32(80)}[random.Intn(3)]))
		return
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString([]string{"", "x", "Grüße", "a b"}[random.Intn(4)])
	case reflect.Bool:
		value.SetBool(random.Intn(2) == 0)
	case reflect.Int32:
		value.SetInt([]int64{0, 1, -1, 1<<31 - 1, -1 << 31}[random.Intn(5)])
	case reflect.Int64:
		value.SetInt([]int64{0, 1, -1, 1 << 50, -1 << 50}[random.Intn(5)])
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), random, some, depth+1)
	case reflect.Struct:
		for i := 0; i < value.NumField(); i++ {
			if value.Type().Field(i).Name != "TypeMeta" {
				fill(value.Field(i), random, some, depth+1)
			}
		}
	case reflect.Slice:
		list := reflect.MakeSlice(value.Type(), 1+random.Intn(2), 3)
		for i := 0; i < list.Len(); i++ {
			fill(list.Index(i), random, some, depth+1)
		}
		value.Set(list)
	case reflect.Map:
		filled := reflect.MakeMap(value.Type())
		for _, key := range []string{"a", "b/c"} {
			item := reflect.New(value.Type().Elem()).Elem()
			if item.Kind() == reflect.Slice {
				item.Set(reflect.MakeSlice(item.Type(), 0, 0))
			}
			fill(item, random, some, depth+1)
			filled.SetMapIndex(reflect.ValueOf(key).Convert(value.Type().Key()), item)
		}
		value.Set(filled)
	}
}
