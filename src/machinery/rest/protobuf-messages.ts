// Printed by test/peers/go/shapes from the types of k8s.io/api: names and numbers of fields, and which of them have an empty value.

/** Kinds that are sent as protobuf: `apiVersion`, kind and message. */
export const kindLines = `
v1 DeleteOptions DeleteOptions
v1 Status Status
meta.k8s.io/v1 PartialObjectMetadata PartialObjectMetadata
v1 Namespace Namespace
v1 Node Node
v1 Pod Pod
v1 Event Event
v1 ConfigMap ConfigMap
v1 Secret Secret
v1 ServiceAccount ServiceAccount
v1 ResourceQuota ResourceQuota
v1 PersistentVolumeClaim PersistentVolumeClaim
storage.k8s.io/v1 StorageClass StorageClass
coordination.k8s.io/v1 Lease Lease
events.k8s.io/v1 Event EventsEvent
policy/v1 Eviction Eviction
rbac.authorization.k8s.io/v1 Role Role
rbac.authorization.k8s.io/v1 RoleBinding RoleBinding
rbac.authorization.k8s.io/v1 ClusterRole ClusterRole
rbac.authorization.k8s.io/v1 ClusterRoleBinding ClusterRoleBinding
authentication.k8s.io/v1 TokenRequest TokenRequest
authentication.k8s.io/v1 TokenReview TokenReview
authentication.k8s.io/v1 SelfSubjectReview SelfSubjectReview
authorization.k8s.io/v1 SubjectAccessReview SubjectAccessReview
authorization.k8s.io/v1 LocalSubjectAccessReview LocalSubjectAccessReview
authorization.k8s.io/v1 SelfSubjectAccessReview SelfSubjectAccessReview
authorization.k8s.io/v1 SelfSubjectRulesReview SelfSubjectRulesReview
`

/**
 * Their messages: `name=number`, and `:type` where it is no string. `[]` is a list and `{}` a map of it; `^` are fields that stand
 * beside the others in JSON. An empty scalar is an absent one, but after `*` (a pointer in Go) or `!` (always in JSON). A message
 * that is no pointer is always there in Go.
 */
export const messageLines = `
AWSElasticBlockStoreVolumeSource volumeID=1! fsType=2 partition=3:int readOnly=4:bool
Affinity nodeAffinity=1*:NodeAffinity podAffinity=2*:PodAffinity podAntiAffinity=3*:PodAntiAffinity
AggregationRule clusterRoleSelectors=1[]:LabelSelector
AppArmorProfile type=1! localhostProfile=2*
AttachedVolume name=1! devicePath=2!
AzureDiskVolumeSource diskName=1! diskURI=2! cachingMode=3* fsType=4* readOnly=5*:bool kind=6*
AzureFileVolumeSource secretName=1! shareName=2! readOnly=3:bool
BoundObjectReference kind=1 apiVersion=2 name=3 uid=4
CSIVolumeSource driver=1! readOnly=2*:bool fsType=3* volumeAttributes=4{} nodePublishSecretRef=5*:LocalObjectReference
Capabilities add=1[] drop=2[]
CephFSVolumeSource monitors=1[] path=2 user=3 secretFile=4 secretRef=5*:LocalObjectReference readOnly=6:bool
CinderVolumeSource volumeID=1! fsType=2 readOnly=3:bool secretRef=4*:LocalObjectReference
ClusterRole metadata=1:ObjectMeta rules=2[]:PolicyRule aggregationRule=3*:AggregationRule
ClusterRoleBinding metadata=1:ObjectMeta subjects=2[]:Subject roleRef=3:RoleRef
ClusterTrustBundleProjection name=1* signerName=2* labelSelector=3*:LabelSelector optional=5*:bool path=4!
ConfigMap metadata=1:ObjectMeta immutable=4*:bool data=2{} binaryData=3{}:bytes
ConfigMapEnvSource ^=1:LocalObjectReference optional=2*:bool
ConfigMapKeySelector ^=1:LocalObjectReference key=2! optional=3*:bool
ConfigMapNodeConfigSource namespace=1! name=2! uid=3 resourceVersion=4 kubeletConfigKey=5!
ConfigMapProjection ^=1:LocalObjectReference items=2[]:KeyToPath optional=4*:bool
ConfigMapVolumeSource ^=1:LocalObjectReference items=2[]:KeyToPath defaultMode=3*:int optional=4*:bool
Container name=1! image=2 command=3[] args=4[] workingDir=5 ports=6[]:ContainerPort envFrom=19[]:EnvFromSource
  env=7[]:EnvVar resources=8:ResourceRequirements resizePolicy=23[]:ContainerResizePolicy restartPolicy=24*
  restartPolicyRules=25[]:ContainerRestartRule volumeMounts=9[]:VolumeMount volumeDevices=21[]:VolumeDevice
  livenessProbe=10*:Probe readinessProbe=11*:Probe startupProbe=22*:Probe lifecycle=12*:Lifecycle
  terminationMessagePath=13 terminationMessagePolicy=20 imagePullPolicy=14 securityContext=15*:SecurityContext
  stdin=16:bool stdinOnce=17:bool tty=18:bool
ContainerExtendedResourceRequest containerName=1! resourceName=2! requestName=3!
ContainerImage names=1[] sizeBytes=2:int
ContainerPort name=1 hostPort=2:int containerPort=3!:int protocol=4 hostIP=5
ContainerResizePolicy resourceName=1! restartPolicy=2!
ContainerRestartRule action=1 exitCodes=2*:ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes operator=1 values=2[]:int
ContainerState waiting=1*:ContainerStateWaiting running=2*:ContainerStateRunning terminated=3*:ContainerStateTerminated
ContainerStateRunning startedAt=1:time
ContainerStateTerminated exitCode=1!:int signal=2:int reason=3 message=4 startedAt=5:time finishedAt=6:time
  containerID=7
ContainerStateWaiting reason=1 message=2
ContainerStatus name=1! state=2:ContainerState lastState=3:ContainerState ready=4!:bool restartCount=5!:int image=6!
  imageID=7! containerID=8 started=9*:bool allocatedResources=10{}:quantity resources=11*:ResourceRequirements
  volumeMounts=12[]:VolumeMountStatus user=13*:ContainerUser allocatedResourcesStatus=14[]:ResourceStatus stopSignal=15*
ContainerUser linux=1*:LinuxContainerUser
DaemonEndpoint Port=1!:int
DeleteOptions gracePeriodSeconds=1*:int preconditions=2*:Preconditions orphanDependents=3*:bool propagationPolicy=4*
  dryRun=5[] ignoreStoreReadErrorWithClusterBreakingPotential=6*:bool
DownwardAPIProjection items=1[]:DownwardAPIVolumeFile
DownwardAPIVolumeFile path=1! fieldRef=2*:ObjectFieldSelector resourceFieldRef=3*:ResourceFieldSelector mode=4*:int
DownwardAPIVolumeSource items=1[]:DownwardAPIVolumeFile defaultMode=2*:int
EmptyDirVolumeSource medium=1 sizeLimit=2*:quantity
EnvFromSource prefix=1 configMapRef=2*:ConfigMapEnvSource secretRef=3*:SecretEnvSource
EnvVar name=1! value=2 valueFrom=3*:EnvVarSource
EnvVarSource fieldRef=1*:ObjectFieldSelector resourceFieldRef=2*:ResourceFieldSelector
  configMapKeyRef=3*:ConfigMapKeySelector secretKeyRef=4*:SecretKeySelector fileKeyRef=5*:FileKeySelector
EphemeralContainer ^=1:EphemeralContainerCommon targetContainerName=2
EphemeralContainerCommon name=1! image=2 command=3[] args=4[] workingDir=5 ports=6[]:ContainerPort
  envFrom=19[]:EnvFromSource env=7[]:EnvVar resources=8:ResourceRequirements resizePolicy=23[]:ContainerResizePolicy
  restartPolicy=24* restartPolicyRules=25[]:ContainerRestartRule volumeMounts=9[]:VolumeMount
  volumeDevices=21[]:VolumeDevice livenessProbe=10*:Probe readinessProbe=11*:Probe startupProbe=22*:Probe
  lifecycle=12*:Lifecycle terminationMessagePath=13 terminationMessagePolicy=20 imagePullPolicy=14
  securityContext=15*:SecurityContext stdin=16:bool stdinOnce=17:bool tty=18:bool
EphemeralVolumeSource volumeClaimTemplate=1*:PersistentVolumeClaimTemplate
Event metadata=1:ObjectMeta involvedObject=2:ObjectReference reason=3 message=4 source=5:EventSource
  firstTimestamp=6:time lastTimestamp=7:time count=8:int type=9 eventTime=10:microTime series=11*:EventSeries action=12
  related=13*:ObjectReference reportingComponent=14! reportingInstance=15!
EventSeries count=1:int lastObservedTime=2:microTime
EventSource component=1 host=2
EventsEvent metadata=1:ObjectMeta eventTime=2:microTime series=3*:EventsEventSeries reportingController=4
  reportingInstance=5 action=6 reason=7 regarding=8:ObjectReference related=9*:ObjectReference note=10 type=11
  deprecatedSource=12:EventSource deprecatedFirstTimestamp=13:time deprecatedLastTimestamp=14:time
  deprecatedCount=15:int
EventsEventSeries count=1!:int lastObservedTime=2:microTime
Eviction metadata=1:ObjectMeta deleteOptions=2*:DeleteOptions
ExecAction command=1[]
FCVolumeSource targetWWNs=1[] lun=2*:int fsType=3 readOnly=4:bool wwids=5[]
FieldSelectorAttributes rawSelector=1 requirements=2[]:FieldSelectorRequirement
FieldSelectorRequirement key=1! operator=2! values=3[]
FileKeySelector volumeName=1! path=2! key=3! optional=4*:bool
FlexVolumeSource driver=1! fsType=2 secretRef=3*:LocalObjectReference readOnly=4:bool options=5{}
FlockerVolumeSource datasetName=1 datasetUUID=2
GCEPersistentDiskVolumeSource pdName=1! fsType=2 partition=3:int readOnly=4:bool
GRPCAction port=1!:int service=2*
GitRepoVolumeSource repository=1! revision=2 directory=3
GlusterfsVolumeSource endpoints=1! path=2! readOnly=3:bool
HTTPGetAction path=1 port=2:intOrString host=3 scheme=4 httpHeaders=5[]:HTTPHeader
HTTPHeader name=1! value=2!
HostAlias ip=1! hostnames=2[]
HostIP ip=1!
HostPathVolumeSource path=1! type=2*
ISCSIVolumeSource targetPortal=1! iqn=2! lun=3!:int iscsiInterface=4 fsType=5 readOnly=6:bool portals=7[]
  chapAuthDiscovery=8:bool chapAuthSession=11:bool secretRef=10*:LocalObjectReference initiatorName=12*
ImageVolumeSource reference=1 pullPolicy=2
KeyToPath key=1! path=2! mode=3*:int
LabelSelector matchLabels=1{} matchExpressions=2[]:LabelSelectorRequirement
LabelSelectorAttributes rawSelector=1 requirements=2[]:LabelSelectorRequirement
LabelSelectorRequirement key=1! operator=2! values=3[]
Lease metadata=1:ObjectMeta spec=2:LeaseSpec
LeaseSpec holderIdentity=1* leaseDurationSeconds=2*:int acquireTime=3*:microTime renewTime=4*:microTime
  leaseTransitions=5*:int strategy=6* preferredHolder=7*
Lifecycle postStart=1*:LifecycleHandler preStop=2*:LifecycleHandler stopSignal=3*
LifecycleHandler exec=1*:ExecAction httpGet=2*:HTTPGetAction tcpSocket=3*:TCPSocketAction sleep=4*:SleepAction
LinuxContainerUser uid=1!:int gid=2!:int supplementalGroups=3[]:int
ListMeta selfLink=1 resourceVersion=2 continue=3 remainingItemCount=4*:int
LocalObjectReference name=1
LocalSubjectAccessReview metadata=1:ObjectMeta spec=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus
ManagedFieldsEntry manager=1 operation=2 apiVersion=3 time=4*:time fieldsType=6 fieldsV1=7*:fields subresource=8
ModifyVolumeStatus targetVolumeAttributesClassName=1 status=2!
NFSVolumeSource server=1! path=2! readOnly=3:bool
Namespace metadata=1:ObjectMeta spec=2:NamespaceSpec status=3:NamespaceStatus
NamespaceCondition type=1! status=2! lastTransitionTime=4:time reason=5 message=6
NamespaceSpec finalizers=1[]
NamespaceStatus phase=1 conditions=2[]:NamespaceCondition
Node metadata=1:ObjectMeta spec=2:NodeSpec status=3:NodeStatus
NodeAddress type=1! address=2!
NodeAffinity requiredDuringSchedulingIgnoredDuringExecution=1*:NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution=2[]:PreferredSchedulingTerm
NodeCondition type=1! status=2! lastHeartbeatTime=3:time lastTransitionTime=4:time reason=5 message=6
NodeConfigSource configMap=2*:ConfigMapNodeConfigSource
NodeConfigStatus assigned=1*:NodeConfigSource active=2*:NodeConfigSource lastKnownGood=3*:NodeConfigSource error=4
NodeDaemonEndpoints kubeletEndpoint=1:DaemonEndpoint
NodeFeatures supplementalGroupsPolicy=1*:bool
NodeRuntimeHandler name=1! features=2*:NodeRuntimeHandlerFeatures
NodeRuntimeHandlerFeatures recursiveReadOnlyMounts=1*:bool userNamespaces=2*:bool
NodeSelector nodeSelectorTerms=1[]:NodeSelectorTerm
NodeSelectorRequirement key=1! operator=2! values=3[]
NodeSelectorTerm matchExpressions=1[]:NodeSelectorRequirement matchFields=2[]:NodeSelectorRequirement
NodeSpec podCIDR=1 podCIDRs=7[] providerID=3 unschedulable=4:bool taints=5[]:Taint configSource=6*:NodeConfigSource
  externalID=2
NodeStatus capacity=1{}:quantity allocatable=2{}:quantity phase=3 conditions=4[]:NodeCondition addresses=5[]:NodeAddress
  daemonEndpoints=6:NodeDaemonEndpoints nodeInfo=7:NodeSystemInfo images=8[]:ContainerImage volumesInUse=9[]
  volumesAttached=10[]:AttachedVolume config=11*:NodeConfigStatus runtimeHandlers=12[]:NodeRuntimeHandler
  features=13*:NodeFeatures
NodeSwapStatus capacity=1*:int
NodeSystemInfo machineID=1! systemUUID=2! bootID=3! kernelVersion=4! osImage=5! containerRuntimeVersion=6!
  kubeletVersion=7! kubeProxyVersion=8! operatingSystem=9! architecture=10! swap=11*:NodeSwapStatus
NonResourceAttributes path=1 verb=2
NonResourceRule verbs=1[] nonResourceURLs=2[]
ObjectFieldSelector apiVersion=1 fieldPath=2!
ObjectMeta name=1 generateName=2 namespace=3 selfLink=4 uid=5 resourceVersion=6 generation=7:int
  creationTimestamp=8:time deletionTimestamp=9*:time deletionGracePeriodSeconds=10*:int labels=11{} annotations=12{}
  ownerReferences=13[]:OwnerReference finalizers=14[] managedFields=17[]:ManagedFieldsEntry
ObjectReference kind=1 namespace=2 name=3 uid=4 apiVersion=5 resourceVersion=6 fieldPath=7
OwnerReference apiVersion=5! kind=1! name=3! uid=4! controller=6*:bool blockOwnerDeletion=7*:bool
PartialObjectMetadata metadata=1:ObjectMeta
PersistentVolumeClaim metadata=1:ObjectMeta spec=2:PersistentVolumeClaimSpec status=3:PersistentVolumeClaimStatus
PersistentVolumeClaimCondition type=1! status=2! lastProbeTime=3:time lastTransitionTime=4:time reason=5 message=6
PersistentVolumeClaimSpec accessModes=1[] selector=4*:LabelSelector resources=2:VolumeResourceRequirements volumeName=3
  storageClassName=5* volumeMode=6* dataSource=7*:TypedLocalObjectReference dataSourceRef=8*:TypedObjectReference
  volumeAttributesClassName=9*
PersistentVolumeClaimStatus phase=1 accessModes=2[] capacity=3{}:quantity conditions=4[]:PersistentVolumeClaimCondition
  allocatedResources=5{}:quantity allocatedResourceStatuses=7{} currentVolumeAttributesClassName=8*
  modifyVolumeStatus=9*:ModifyVolumeStatus
PersistentVolumeClaimTemplate metadata=1:ObjectMeta spec=2:PersistentVolumeClaimSpec
PersistentVolumeClaimVolumeSource claimName=1! readOnly=2:bool
PhotonPersistentDiskVolumeSource pdID=1! fsType=2
Pod metadata=1:ObjectMeta spec=2:PodSpec status=3:PodStatus
PodAffinity requiredDuringSchedulingIgnoredDuringExecution=1[]:PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution=2[]:WeightedPodAffinityTerm
PodAffinityTerm labelSelector=1*:LabelSelector namespaces=2[] topologyKey=3! namespaceSelector=4*:LabelSelector
  matchLabelKeys=5[] mismatchLabelKeys=6[]
PodAntiAffinity requiredDuringSchedulingIgnoredDuringExecution=1[]:PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution=2[]:WeightedPodAffinityTerm
PodCertificateProjection signerName=1 keyType=2 maxExpirationSeconds=3*:int credentialBundlePath=4 keyPath=5
  certificateChainPath=6
PodCondition type=1! observedGeneration=7:int status=2! lastProbeTime=3:time lastTransitionTime=4:time reason=5
  message=6
PodDNSConfig nameservers=1[] searches=2[] options=3[]:PodDNSConfigOption
PodDNSConfigOption name=1 value=2*
PodExtendedResourceClaimStatus requestMappings=1[]:ContainerExtendedResourceRequest resourceClaimName=2!
PodIP ip=1!
PodOS name=1!
PodReadinessGate conditionType=1!
PodResourceClaim name=1! resourceClaimName=3* resourceClaimTemplateName=4*
PodResourceClaimStatus name=1! resourceClaimName=2*
PodSchedulingGate name=1!
PodSecurityContext seLinuxOptions=1*:SELinuxOptions windowsOptions=8*:WindowsSecurityContextOptions runAsUser=2*:int
  runAsGroup=6*:int runAsNonRoot=3*:bool supplementalGroups=4[]:int supplementalGroupsPolicy=12* fsGroup=5*:int
  sysctls=7[]:Sysctl fsGroupChangePolicy=9* seccompProfile=10*:SeccompProfile appArmorProfile=11*:AppArmorProfile
  seLinuxChangePolicy=13*
PodSpec volumes=1[]:Volume initContainers=20[]:Container containers=2[]:Container
  ephemeralContainers=34[]:EphemeralContainer restartPolicy=3 terminationGracePeriodSeconds=4*:int
  activeDeadlineSeconds=5*:int dnsPolicy=6 nodeSelector=7{} serviceAccountName=8 serviceAccount=9
  automountServiceAccountToken=21*:bool nodeName=10 hostNetwork=11:bool hostPID=12:bool hostIPC=13:bool
  shareProcessNamespace=27*:bool securityContext=14*:PodSecurityContext imagePullSecrets=15[]:LocalObjectReference
  hostname=16 subdomain=17 affinity=18*:Affinity schedulerName=19 tolerations=22[]:Toleration hostAliases=23[]:HostAlias
  priorityClassName=24 priority=25*:int dnsConfig=26*:PodDNSConfig readinessGates=28[]:PodReadinessGate
  runtimeClassName=29* enableServiceLinks=30*:bool preemptionPolicy=31* overhead=32{}:quantity
  topologySpreadConstraints=33[]:TopologySpreadConstraint setHostnameAsFQDN=35*:bool os=36*:PodOS hostUsers=37*:bool
  schedulingGates=38[]:PodSchedulingGate resourceClaims=39[]:PodResourceClaim resources=40*:ResourceRequirements
  hostnameOverride=41*
PodStatus observedGeneration=17:int phase=1 conditions=2[]:PodCondition message=3 reason=4 nominatedNodeName=11 hostIP=5
  hostIPs=16[]:HostIP podIP=6 podIPs=12[]:PodIP startTime=7*:time initContainerStatuses=10[]:ContainerStatus
  containerStatuses=8[]:ContainerStatus qosClass=9 ephemeralContainerStatuses=13[]:ContainerStatus resize=14
  resourceClaimStatuses=15[]:PodResourceClaimStatus extendedResourceClaimStatus=18*:PodExtendedResourceClaimStatus
PolicyRule verbs=1[] apiGroups=2[] resources=3[] resourceNames=4[] nonResourceURLs=5[]
PortworxVolumeSource volumeID=1! fsType=2 readOnly=3:bool
Preconditions uid=1* resourceVersion=2*
PreferredSchedulingTerm weight=1!:int preference=2:NodeSelectorTerm
Probe ^=1:ProbeHandler initialDelaySeconds=2:int timeoutSeconds=3:int periodSeconds=4:int successThreshold=5:int
  failureThreshold=6:int terminationGracePeriodSeconds=7*:int
ProbeHandler exec=1*:ExecAction httpGet=2*:HTTPGetAction tcpSocket=3*:TCPSocketAction grpc=4*:GRPCAction
ProjectedVolumeSource sources=1[]:VolumeProjection defaultMode=2*:int
QuobyteVolumeSource registry=1! volume=2! readOnly=3:bool user=4 group=5 tenant=6
RBDVolumeSource monitors=1[] image=2! fsType=3 pool=4 user=5 keyring=6 secretRef=7*:LocalObjectReference readOnly=8:bool
ResourceAttributes namespace=1 verb=2 group=3 version=4 resource=5 subresource=6 name=7
  fieldSelector=8*:FieldSelectorAttributes labelSelector=9*:LabelSelectorAttributes
ResourceClaim name=1! request=2
ResourceFieldSelector containerName=1 resource=2! divisor=3:quantity
ResourceHealth resourceID=1! health=2
ResourceQuota metadata=1:ObjectMeta spec=2:ResourceQuotaSpec status=3:ResourceQuotaStatus
ResourceQuotaSpec hard=1{}:quantity scopes=2[] scopeSelector=3*:ScopeSelector
ResourceQuotaStatus hard=1{}:quantity used=2{}:quantity
ResourceRequirements limits=1{}:quantity requests=2{}:quantity claims=3[]:ResourceClaim
ResourceRule verbs=1[] apiGroups=2[] resources=3[] resourceNames=4[]
ResourceStatus name=1! resources=2[]:ResourceHealth
Role metadata=1:ObjectMeta rules=2[]:PolicyRule
RoleBinding metadata=1:ObjectMeta subjects=2[]:Subject roleRef=3:RoleRef
RoleRef apiGroup=1! kind=2! name=3!
SELinuxOptions user=1 role=2 type=3 level=4
ScaleIOVolumeSource gateway=1! system=2! secretRef=3*:LocalObjectReference sslEnabled=4:bool protectionDomain=5
  storagePool=6 storageMode=7 volumeName=8 fsType=9 readOnly=10:bool
ScopeSelector matchExpressions=1[]:ScopedResourceSelectorRequirement
ScopedResourceSelectorRequirement scopeName=1! operator=2! values=3[]
SeccompProfile type=1! localhostProfile=2*
Secret metadata=1:ObjectMeta immutable=5*:bool data=2{}:bytes stringData=4{} type=3
SecretEnvSource ^=1:LocalObjectReference optional=2*:bool
SecretKeySelector ^=1:LocalObjectReference key=2! optional=3*:bool
SecretProjection ^=1:LocalObjectReference items=2[]:KeyToPath optional=4*:bool
SecretVolumeSource secretName=1 items=2[]:KeyToPath defaultMode=3*:int optional=4*:bool
SecurityContext capabilities=1*:Capabilities privileged=2*:bool seLinuxOptions=3*:SELinuxOptions
  windowsOptions=10*:WindowsSecurityContextOptions runAsUser=4*:int runAsGroup=8*:int runAsNonRoot=5*:bool
  readOnlyRootFilesystem=6*:bool allowPrivilegeEscalation=7*:bool procMount=9* seccompProfile=11*:SeccompProfile
  appArmorProfile=12*:AppArmorProfile
SelfSubjectAccessReview metadata=1:ObjectMeta spec=2:SelfSubjectAccessReviewSpec status=3:SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec resourceAttributes=1*:ResourceAttributes nonResourceAttributes=2*:NonResourceAttributes
SelfSubjectReview metadata=1:ObjectMeta status=2:SelfSubjectReviewStatus
SelfSubjectReviewStatus userInfo=1:UserInfo
SelfSubjectRulesReview metadata=1:ObjectMeta spec=2:SelfSubjectRulesReviewSpec status=3:SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec namespace=1
ServiceAccount metadata=1:ObjectMeta secrets=2[]:ObjectReference imagePullSecrets=3[]:LocalObjectReference
  automountServiceAccountToken=4*:bool
ServiceAccountTokenProjection audience=1 expirationSeconds=2*:int path=3!
SleepAction seconds=1!:int
Status metadata=1:ListMeta status=2 message=3 reason=4 details=5*:StatusDetails code=6:int
StatusCause reason=1 message=2 field=3
StatusDetails name=1 group=2 kind=3 uid=6 causes=4[]:StatusCause retryAfterSeconds=5:int
StorageClass metadata=1:ObjectMeta provisioner=2! parameters=3{} reclaimPolicy=4* mountOptions=5[]
  allowVolumeExpansion=6*:bool volumeBindingMode=7* allowedTopologies=8[]:TopologySelectorTerm
StorageOSVolumeSource volumeName=1 volumeNamespace=2 fsType=3 readOnly=4:bool secretRef=5*:LocalObjectReference
Subject kind=1! apiGroup=2 name=3! namespace=4
SubjectAccessReview metadata=1:ObjectMeta spec=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus
SubjectAccessReviewSpec resourceAttributes=1*:ResourceAttributes nonResourceAttributes=2*:NonResourceAttributes user=3
  groups=4[] extra=5{}:strings uid=6
SubjectAccessReviewStatus allowed=1!:bool denied=4:bool reason=2 evaluationError=3
SubjectRulesReviewStatus resourceRules=1[]:ResourceRule nonResourceRules=2[]:NonResourceRule incomplete=3!:bool
  evaluationError=4
Sysctl name=1! value=2!
TCPSocketAction port=1:intOrString host=2
Taint key=1! value=2 effect=3! timeAdded=4*:time
TokenRequest metadata=1:ObjectMeta spec=2:TokenRequestSpec status=3:TokenRequestStatus
TokenRequestSpec audiences=1[] expirationSeconds=4*:int boundObjectRef=3*:BoundObjectReference
TokenRequestStatus token=1! expirationTimestamp=2:time
TokenReview metadata=1:ObjectMeta spec=2:TokenReviewSpec status=3:TokenReviewStatus
TokenReviewSpec token=1 audiences=2[]
TokenReviewStatus authenticated=1:bool user=2:UserInfo audiences=4[] error=3
Toleration key=1 operator=2 value=3 effect=4 tolerationSeconds=5*:int
TopologySelectorLabelRequirement key=1! values=2[]
TopologySelectorTerm matchLabelExpressions=1[]:TopologySelectorLabelRequirement
TopologySpreadConstraint maxSkew=1!:int topologyKey=2! whenUnsatisfiable=3! labelSelector=4*:LabelSelector
  minDomains=5*:int nodeAffinityPolicy=6* nodeTaintsPolicy=7* matchLabelKeys=8[]
TypedLocalObjectReference apiGroup=1* kind=2! name=3!
TypedObjectReference apiGroup=1* kind=2! name=3! namespace=4*
UserInfo username=1 uid=2 groups=3[] extra=4{}:strings
Volume name=1! ^=2:VolumeSource
VolumeDevice name=1! devicePath=2!
VolumeMount name=1! readOnly=2:bool recursiveReadOnly=7* mountPath=3! subPath=4 mountPropagation=5* subPathExpr=6
VolumeMountStatus name=1! mountPath=2! readOnly=3:bool recursiveReadOnly=4*
VolumeProjection secret=1*:SecretProjection downwardAPI=2*:DownwardAPIProjection configMap=3*:ConfigMapProjection
  serviceAccountToken=4*:ServiceAccountTokenProjection clusterTrustBundle=5*:ClusterTrustBundleProjection
  podCertificate=6*:PodCertificateProjection
VolumeResourceRequirements limits=1{}:quantity requests=2{}:quantity
VolumeSource hostPath=1*:HostPathVolumeSource emptyDir=2*:EmptyDirVolumeSource
  gcePersistentDisk=3*:GCEPersistentDiskVolumeSource awsElasticBlockStore=4*:AWSElasticBlockStoreVolumeSource
  gitRepo=5*:GitRepoVolumeSource secret=6*:SecretVolumeSource nfs=7*:NFSVolumeSource iscsi=8*:ISCSIVolumeSource
  glusterfs=9*:GlusterfsVolumeSource persistentVolumeClaim=10*:PersistentVolumeClaimVolumeSource rbd=11*:RBDVolumeSource
  flexVolume=12*:FlexVolumeSource cinder=13*:CinderVolumeSource cephfs=14*:CephFSVolumeSource
  flocker=15*:FlockerVolumeSource downwardAPI=16*:DownwardAPIVolumeSource fc=17*:FCVolumeSource
  azureFile=18*:AzureFileVolumeSource configMap=19*:ConfigMapVolumeSource
  vsphereVolume=20*:VsphereVirtualDiskVolumeSource quobyte=21*:QuobyteVolumeSource azureDisk=22*:AzureDiskVolumeSource
  photonPersistentDisk=23*:PhotonPersistentDiskVolumeSource projected=26*:ProjectedVolumeSource
  portworxVolume=24*:PortworxVolumeSource scaleIO=25*:ScaleIOVolumeSource storageos=27*:StorageOSVolumeSource
  csi=28*:CSIVolumeSource ephemeral=29*:EphemeralVolumeSource image=30*:ImageVolumeSource
VsphereVirtualDiskVolumeSource volumePath=1! fsType=2 storagePolicyName=3 storagePolicyID=4
WeightedPodAffinityTerm weight=1!:int podAffinityTerm=2:PodAffinityTerm
WindowsSecurityContextOptions gmsaCredentialSpecName=1* gmsaCredentialSpec=2* runAsUserName=3* hostProcess=4*:bool
`
