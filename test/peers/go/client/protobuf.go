package main

import (
	"context"
	"fmt"
	"reflect"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const protobufType = "application/vnd.kubernetes.protobuf"

// protobufOnly makes, gets, lists and follows objects by clients that send and accept nothing but protobuf, and prints what did not
// come back as it was sent.
func protobufOnly(ctx context.Context, config *rest.Config) {
	config.ContentType, config.AcceptContentTypes = protobufType, protobufType
	clients := kubernetes.NewForConfigOrDie(config)
	leases, events, maps := clients.CoordinationV1().Leases(namespace), clients.CoreV1().Events(namespace), clients.CoreV1().ConfigMaps(namespace)
	holder, seconds, now := "peer", int32(15), metav1.NewMicroTime(time.Now().Truncate(time.Microsecond))
	named := metav1.ObjectMeta{Name: "peer-protobuf", Labels: map[string]string{"peer": "protobuf"}}
	exercise(ctx, "Lease", &coordinationv1.Lease{ObjectMeta: named, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now,
	}}, leases, func(list *coordinationv1.LeaseList) []coordinationv1.Lease { return list.Items })
	exercise(ctx, "Event", &corev1.Event{
		ObjectMeta: named, Reason: "Tested", Message: "by a peer", Type: corev1.EventTypeNormal, Count: 2,
		InvolvedObject: corev1.ObjectReference{Kind: "ConfigMap", Namespace: namespace, Name: named.Name},
		FirstTimestamp: metav1.Unix(now.Unix(), 0), EventTime: metav1.NewMicroTime(now.Time), Source: corev1.EventSource{Component: "peer"},
		ReportingController: "peer", ReportingInstance: "peer-1", Action: "Test",
	}, events, func(list *corev1.EventList) []corev1.Event { return list.Items })
	exercise(ctx, "ConfigMap", &corev1.ConfigMap{
		ObjectMeta: named, Data: map[string]string{"a": "Grüße"}, BinaryData: map[string][]byte{"b": {0, 255, 7}},
	}, maps, func(list *corev1.ConfigMapList) []corev1.ConfigMap { return list.Items })
	_, err := maps.Get(ctx, "peer-protobuf", metav1.GetOptions{})
	fmt.Println("gone", apierrors.IsNotFound(err), apierrors.ReasonForError(err))
	_, err = clients.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	fmt.Println("twice", apierrors.IsAlreadyExists(err))
}

type typed[T runtime.Object, L any] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Get(context.Context, string, metav1.GetOptions) (T, error)
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
}

func exercise[O any, T interface {
	*O
	runtime.Object
	metav1.Object
}, L metav1.ListInterface](ctx context.Context, what string, object T, client typed[T, L], itemsOf func(L) []O) {
	selected := metav1.ListOptions{LabelSelector: "peer=protobuf"}
	empty, err := client.List(ctx, selected)
	must(err)
	fmt.Println(what, "listed", len(itemsOf(empty)))
	selected.ResourceVersion = empty.GetResourceVersion()
	watcher, err := client.Watch(ctx, selected)
	must(err)
	defer watcher.Stop()
	made, err := client.Create(ctx, object, metav1.CreateOptions{})
	must(err)
	got, err := client.Get(ctx, object.GetName(), metav1.GetOptions{})
	must(err)
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: "peer=protobuf"})
	must(err)
	added := <-watcher.ResultChan()
	must(client.Delete(ctx, object.GetName(), metav1.DeleteOptions{}))
	deleted := <-watcher.ResultChan()
	same := func(one any) bool {
		return reflect.DeepEqual(one, any(made))
	}
	items := itemsOf(list)
	fmt.Println(what, "same", len(made.GetUID()) > 0, same(got), len(items) == 1 && same(T(&items[0])), added.Type, same(added.Object), deleted.Type)
	sent := object.DeepCopyObject().(T)
	copyServerFields(sent, made)
	told(what+" sent", made, sent)
}

// copyServerFields gives what was sent the metadata that only the server sets.
func copyServerFields(to, from metav1.Object) {
	to.SetNamespace(from.GetNamespace())
	to.SetUID(from.GetUID())
	to.SetResourceVersion(from.GetResourceVersion())
	to.SetCreationTimestamp(from.GetCreationTimestamp())
	to.SetManagedFields(from.GetManagedFields())
}
