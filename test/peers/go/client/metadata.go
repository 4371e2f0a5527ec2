package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// metadataOnly follows the metadata of virtual machines until one is deleted.
func metadataOnly(ctx context.Context, config *rest.Config) {
	client := metadata.NewForConfigOrDie(config)
	vms := schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachines"}
	list, err := client.Resource(vms).List(ctx, metav1.ListOptions{})
	must(err)
	fmt.Println("listed", len(list.Items), list.Items[0].Name, len(list.Items[0].Annotations))
	informers := metadatainformer.NewSharedInformerFactory(client, 0)
	gone := make(chan struct{})
	informer := informers.ForResource(vms).Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { fmt.Println("added", object.(*metav1.PartialObjectMetadata).Name) },
		DeleteFunc: func(any) { close(gone) },
	})
	must(err)
	informers.Start(ctx.Done())
	informers.WaitForCacheSync(ctx.Done())
	must(client.Resource(vms).Namespace(namespace).Delete(ctx, list.Items[0].Name, metav1.DeleteOptions{}))
	<-gone
	fmt.Println("deleted")
}
