package main

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
)

// types creates an object of each built-in kind by its typed client, and prints whether it came back as it was sent.
func types(ctx context.Context, clients *kubernetes.Clientset) {
	core, rbac := clients.CoreV1(), clients.RbacV1()
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Labels: map[string]string{"peer": "types"}}
	}
	truth, two := true, int32(2)
	amounts := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourceCPU: resource.MustParse("500m")}
	create := metav1.CreateOptions{}
	maps := core.ConfigMaps(namespace)
	owner, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: named("types-owner"), BinaryData: map[string][]byte{"b": {0, 255}}}, create)
	must(err)
	told("ConfigMap", owner.BinaryData, map[string][]byte{"b": {0, 255}})
	space, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: named("types")}, create)
	must(err)
	told("Namespace", space.Labels, named("").Labels)
	secret, err := core.Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: named("types"), StringData: map[string]string{"a": "b"}, Immutable: &truth}, create)
	must(err)
	told("Secret", []any{secret.Data, secret.Immutable}, []any{map[string][]byte{"a": []byte("b")}, &truth})
	account := &corev1.ServiceAccount{ObjectMeta: named("types"), ImagePullSecrets: []corev1.LocalObjectReference{{Name: "types"}}, AutomountServiceAccountToken: new(bool)}
	gotAccount, err := core.ServiceAccounts(namespace).Create(ctx, account, create)
	must(err)
	told("ServiceAccount", []any{gotAccount.ImagePullSecrets, gotAccount.AutomountServiceAccountToken}, []any{account.ImagePullSecrets, new(bool)})
	quota := &corev1.ResourceQuota{ObjectMeta: named("types"), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("100")}}}
	gotQuota, err := core.ResourceQuotas("types").Create(ctx, quota, create)
	must(err)
	told("ResourceQuota", gotQuota.Spec, quota.Spec)
	pod := &corev1.Pod{ObjectMeta: named("types"), Spec: corev1.PodSpec{
		NodeSelector: map[string]string{"none": "such"},
		Volumes:      []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		Containers: []corev1.Container{{
			Name: "c", Image: "i", Env: []corev1.EnvVar{{Name: "A", Value: "b"}}, Resources: corev1.ResourceRequirements{Limits: amounts},
			Ports: []corev1.ContainerPort{{ContainerPort: 80, Protocol: corev1.ProtocolTCP}},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
				HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP},
			}, FailureThreshold: 3},
		}},
	}}
	gotPod, err := core.Pods(namespace).Create(ctx, pod, create)
	must(err)
	told("Pod", gotPod.Spec, pod.Spec)
	node := &corev1.Node{ObjectMeta: named("types"), Spec: corev1.NodeSpec{
		Unschedulable: true, PodCIDRs: []string{"10.9.0.0/24"}, Taints: []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}},
	}}
	gotNode, err := core.Nodes().Create(ctx, node, create)
	must(err)
	told("Node", gotNode.Spec, node.Spec)
	now := metav1.NewMicroTime(time.UnixMicro(1_700_000_000_123_456))
	lease := &coordinationv1.Lease{ObjectMeta: named("types"), Spec: coordinationv1.LeaseSpec{RenewTime: &now, LeaseDurationSeconds: &two}}
	gotLease, err := clients.CoordinationV1().Leases(namespace).Create(ctx, lease, create)
	must(err)
	told("Lease", gotLease.Spec, lease.Spec)
	event := &eventsv1.Event{ObjectMeta: named("types"), EventTime: now, Action: "Test", Reason: "Tested", Type: corev1.EventTypeNormal, Note: "n",
		ReportingController: "peer", ReportingInstance: "peer-1", Regarding: corev1.ObjectReference{Kind: "Pod", Name: "types", Namespace: namespace}}
	gotEvent, err := clients.EventsV1().Events(namespace).Create(ctx, event, create)
	must(err)
	told("Event", []any{gotEvent.EventTime, gotEvent.Note, gotEvent.Regarding}, []any{event.EventTime, event.Note, event.Regarding})
	rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	role, err := rbac.Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: named("types"), Rules: rules}, create)
	must(err)
	told("Role", role.Rules, rules)
	urls := []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}}
	wide, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: named("types"), Rules: urls}, create)
	must(err)
	told("ClusterRole", wide.Rules, urls)
	binding := &rbacv1.RoleBinding{ObjectMeta: named("types"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "types"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "types", Namespace: namespace}}}
	gotBinding, err := rbac.RoleBindings(namespace).Create(ctx, binding, create)
	must(err)
	told("RoleBinding", []any{gotBinding.RoleRef, gotBinding.Subjects}, []any{binding.RoleRef, binding.Subjects})
	reviews(ctx, clients)
	config, err := maps.Apply(ctx, applycorev1.ConfigMap("types-owner", namespace).WithData(map[string]string{"applied": "1"}), metav1.ApplyOptions{FieldManager: "peer"})
	must(err)
	extracted, err := applycorev1.ExtractConfigMap(config, "peer")
	must(err)
	told("apply", extracted.Data, map[string]string{"applied": "1"})
}

func reviews(ctx context.Context, clients *kubernetes.Clientset) {
	may := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               "system:serviceaccount:default:types",
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "get", Resource: "pods"},
	}}
	for {
		answer, err := clients.AuthorizationV1().SubjectAccessReviews().Create(ctx, may, metav1.CreateOptions{})
		must(err)
		if answer.Status.Allowed {
			break
		}
	}
	fmt.Println("SubjectAccessReview true")
	seconds := int64(600)
	request, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "types",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	must(err)
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: request.Status.Token}}
	whose, err := clients.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	must(err)
	told("TokenReview", whose.Status.User.Username, "system:serviceaccount:default:types")
}

func told(what string, got, want any) {
	fmt.Println(what, equality.Semantic.DeepEqual(got, want))
	if !equality.Semantic.DeepEqual(got, want) {
		fmt.Printf("  got %+v\n  want %+v\n", got, want)
	}
}
