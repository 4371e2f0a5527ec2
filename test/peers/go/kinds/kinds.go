// Package kinds lists the built-in kinds that are sent as protobuf, by clients or by the server.
package kinds

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind is one of them: its name and an empty object.
type Kind struct {
	APIVersion, Name string
	Object           any
}

// All are those that are served, or are about to be, and what the server answers beside them.
var All = []Kind{
	{"v1", "DeleteOptions", &metav1.DeleteOptions{}},
	{"v1", "Status", &metav1.Status{}},
	{"meta.k8s.io/v1", "PartialObjectMetadata", &metav1.PartialObjectMetadata{}},
	{"v1", "Namespace", &corev1.Namespace{}},
	{"v1", "Node", &corev1.Node{}},
	{"v1", "Pod", &corev1.Pod{}},
	{"v1", "Event", &corev1.Event{}},
	{"v1", "ConfigMap", &corev1.ConfigMap{}},
	{"v1", "Secret", &corev1.Secret{}},
	{"v1", "ServiceAccount", &corev1.ServiceAccount{}},
	{"v1", "ResourceQuota", &corev1.ResourceQuota{}},
	{"v1", "PersistentVolumeClaim", &corev1.PersistentVolumeClaim{}},
	{"storage.k8s.io/v1", "StorageClass", &storagev1.StorageClass{}},
	{"coordination.k8s.io/v1", "Lease", &coordinationv1.Lease{}},
	{"events.k8s.io/v1", "Event", &eventsv1.Event{}},
	{"policy/v1", "Eviction", &policyv1.Eviction{}},
	{"rbac.authorization.k8s.io/v1", "Role", &rbacv1.Role{}},
	{"rbac.authorization.k8s.io/v1", "RoleBinding", &rbacv1.RoleBinding{}},
	{"rbac.authorization.k8s.io/v1", "ClusterRole", &rbacv1.ClusterRole{}},
	{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", &rbacv1.ClusterRoleBinding{}},
	{"authentication.k8s.io/v1", "TokenRequest", &authenticationv1.TokenRequest{}},
	{"authentication.k8s.io/v1", "TokenReview", &authenticationv1.TokenReview{}},
	{"authentication.k8s.io/v1", "SelfSubjectReview", &authenticationv1.SelfSubjectReview{}},
	{"authorization.k8s.io/v1", "SubjectAccessReview", &authorizationv1.SubjectAccessReview{}},
	{"authorization.k8s.io/v1", "LocalSubjectAccessReview", &authorizationv1.LocalSubjectAccessReview{}},
	{"authorization.k8s.io/v1", "SelfSubjectAccessReview", &authorizationv1.SelfSubjectAccessReview{}},
	{"authorization.k8s.io/v1", "SelfSubjectRulesReview", &authorizationv1.SelfSubjectRulesReview{}},
}
