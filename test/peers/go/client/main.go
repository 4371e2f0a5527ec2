// A client made of what controllers are made of: `elect NAME` takes part in an election until its input ends, `types` makes an
// object of each built-in kind, `protobuf` does what needs protobuf both ways, `metadata` follows metadata alone, and `use` writes and
// watches. What happens is printed, one line each.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

const namespace = "default"

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	must(err)
	clients := kubernetes.NewForConfigOrDie(config)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch os.Args[1] {
	case "elect":
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
		elect(ctx, clients, os.Args[2])
	case "types":
		types(ctx, clients)
	case "protobuf":
		protobufOnly(ctx, config)
	case "metadata":
		metadataOnly(ctx, config)
	default:
		use(ctx, clients)
	}
}

func elect(ctx context.Context, clients *kubernetes.Clientset, name string) {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: clients.CoreV1().Events(namespace)})
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, "peer", clients.CoreV1(), clients.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: name, EventRecorder: broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: name})})
	must(err)
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock: lock, ReleaseOnCancel: true,
		LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { fmt.Println("leads", name) },
			OnStoppedLeading: func() { fmt.Println("stopped", name) },
			OnNewLeader:      func(leader string) { fmt.Println("follows", leader) },
		},
	})
	broadcaster.Shutdown()
}

func use(ctx context.Context, clients *kubernetes.Clientset) {
	maps := clients.CoreV1().ConfigMaps(namespace)
	factory := informers.NewSharedInformerFactoryWithOptions(clients, 0, informers.WithNamespace(namespace))
	lister := factory.Core().V1().ConfigMaps().Lister()
	seen := make(chan string, 100)
	_, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { seen <- "added " + object.(*corev1.ConfigMap).Name },
		UpdateFunc: func(_, object any) { seen <- "updated " + object.(*corev1.ConfigMap).Name },
		DeleteFunc: func(object any) { seen <- "deleted " + object.(*corev1.ConfigMap).Name },
	})
	must(err)
	factory.Start(ctx.Done())
	for informer, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			panic(informer.String())
		}
	}
	owner, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "peer-owner"}, Data: map[string]string{"a": "1"}}, metav1.CreateOptions{})
	must(err)
	wait(seen, "added peer-owner")
	truth := true
	owned, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "peer-owned", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, Controller: &truth, BlockOwnerDeletion: &truth},
	}}}, metav1.CreateOptions{})
	must(err)
	wait(seen, "added peer-owned")
	owned.Data = map[string]string{"b": "2"}
	owned, err = maps.Update(ctx, owned, metav1.UpdateOptions{})
	must(err)
	wait(seen, "updated peer-owned")
	fmt.Println("owners", len(owned.OwnerReferences), owned.OwnerReferences[0].UID == owner.UID, *owned.OwnerReferences[0].Controller)
	listed, err := lister.List(labels.Everything())
	must(err)
	fmt.Println("listed", len(listed) >= 2)
	events(ctx, clients, owned)
	must(maps.Delete(ctx, owner.Name, metav1.DeleteOptions{}))
	wait(seen, "deleted peer-owned")
}

// events records the same event twice and waits until it was counted.
func events(ctx context.Context, clients *kubernetes.Clientset, about *corev1.ConfigMap) {
	broadcaster := record.NewBroadcaster()
	defer broadcaster.Shutdown()
	sink := clients.CoreV1().Events(namespace)
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: sink})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "peer"})
	watcher, err := sink.Watch(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + about.Name})
	must(err)
	defer watcher.Stop()
	for range 2 {
		recorder.Event(about, corev1.EventTypeNormal, "Tested", "by a peer")
	}
	for change := range watcher.ResultChan() {
		if event, ok := change.Object.(*corev1.Event); ok && event.Count == 2 {
			fmt.Println("recorded", event.Reason, event.Count, !event.FirstTimestamp.IsZero())
			return
		}
	}
}

func wait(seen <-chan string, want string) {
	for {
		select {
		case line := <-seen:
			if line == want {
				fmt.Println(line)
				return
			}
		case <-time.After(time.Minute):
			panic("not seen: " + want)
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
