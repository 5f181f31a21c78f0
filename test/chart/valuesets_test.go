//go:build kubernetes && linux

package chart

// valueSets are values by what they are about. Whatever holds for every rendering is tested with each of them.
var valueSets = map[string]string{
	"defaults": "",
	"one peer": "replicas: 1",
	"extra":    "{extra: {replicas: 3, size: 512Mi, resources: {limits: {memory: 256Mi}}}}",
	"names": `
nameOverride: moot
fullnameOverride: the-network
network: Town_1
commonLabels: {team: peers}
podLabels: {tier: back}
podAnnotations: {example.org/a: b}
serviceAccount: {name: someone, annotations: {example.org/role: r}}
`,
	"long names": "fullnameOverride: a-name-that-is-much-longer-than-what-a-stateful-set-may-be-called-if-its-pods-are-to-start",
	"image": `
image: {repository: "registry.example.org:5000/peers/moot", digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
`,
	"secrets":      "api: {existingSecret: mine, tokenKey: the.token, tls: {existingSecret: certificate}}",
	"dual stack":   "{ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6, IPv4], outside: {type: NodePort}}",
	"node ports":   "{outside: {type: NodePort, peers: 7, annotations: {a: b}}, api: {service: {type: NodePort, nodePort: 30070}}, extra: {replicas: 1}}",
	"one protocol": `{outside: {type: NodePort, protocols: [UDP], hosts: [192.0.2.1, "2001:db8::1", peer.example.org, a, b]}}`,
	"load balancers": `
outside: {type: LoadBalancer, hosts: [a, b, c, d, e], loadBalancerClass: example.org/lb, loadBalancerSourceRanges: [192.0.2.0/24, "2001:db8::/32"]}
api: {service: {type: LoadBalancer, annotations: {a: b}, loadBalancerClass: example.org/lb, loadBalancerSourceRanges: [192.0.2.0/24], sessionAffinity: ClientIP}}
`,
	"host network":       "{hostNetwork: true, p2p: {port: 4343}, api: {port: 7171}, extra: {replicas: 1}}",
	"behind a NAT":       `{discovery: {bootstrap: [/ip4/192.0.2.7/tcp/4242]}, p2p: {relay: "false", privateWAN: true}}`,
	"relay between NATs": "{p2p: {relay: true}, outside: {type: LoadBalancer, hosts: [a, b, c, d, e]}}",
	"policies": `
networkPolicy:
  enabled: true
  egress: true
  apiFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: apps}}}]
  p2pFrom: [{ipBlock: {cidr: 192.0.2.0/24}}]
  extraEgress: [{to: [{ipBlock: {cidr: 198.51.100.0/24}}], ports: [{port: 4242, protocol: TCP}]}]
podDisruptionBudget: {maxUnavailable: 20%}
`,
	"policy for everybody": "{networkPolicy: {enabled: true, apiFrom: []}, outside: {type: NodePort}}",
	"nothing optional":     "{podDisruptionBudget: {enabled: false}, rbac: {create: false}, serviceAccount: {create: false}, topologySpreadConstraints: [], resources: null}",
	"monitoring": `
serviceMonitor:
  enabled: true
  labels: {release: prometheus}
  relabelings: [{sourceLabels: [__meta_kubernetes_pod_name], targetLabel: peer}]
  metricRelabelings: [{sourceLabels: [__name__], regex: "go_.*", action: drop}]
`,
	"scraping":                    "{scrapeAnnotations: true, podAnnotations: {a: b}, validators: 4, extra: {replicas: 1}, api: {tls: {existingSecret: certificate}}}",
	"monitoring with TLS":         "{serviceMonitor: {enabled: true}, api: {tls: {existingSecret: certificate, caKey: ca.pem}}}",
	"validators":                  "validators: 4",
	"members by a secret of ours": "{validators: 4, members: {existingSecret: ours, secretKey: the.secret}}",
	"no members":                  "{validators: 4, members: {only: false}, extra: {replicas: 1}}",
	"joins":                       "{join: {existingSecret: invite}, replicas: 2, extra: {replicas: 1}, outside: {type: NodePort}, networkPolicy: {enabled: true, egress: true}}",
	"validators alone":            "{replicas: 0, validators: 4, extra: {replicas: 1}, validator: {existingSecret: ours, secretKey: the.secret, resources: {limits: {memory: 512Mi}}}, networkPolicy: {enabled: true, egress: true}}",
	"validators, with all":        "{validators: 7, api: {tls: {existingSecret: certificate}}, outside: {type: NodePort}, persistence: {retain: {whenDeleted: Delete}}, rbac: {create: false}}",
	"validators' names":           "{validators: 4, fullnameOverride: a-name-that-is-as-long-as-a-stateful-sets-may-be-xxx, serviceAccount: {create: false, name: someone}}",
	"scheduling": `
nodeSelector: {kubernetes.io/arch: arm64}
tolerations: [{key: peers, operator: Exists, effect: NoSchedule}]
affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app.kubernetes.io/instance: town}}}]}}
topologySpreadConstraints:
  - {maxSkew: 2, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {a: b}}}
  - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway}
priorityClassName: important
updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}
extra: {replicas: 1}
validators: 4
`,
	"disks": "{persistence: {size: 1Ti, storageClass: fast, accessModes: [ReadWriteOncePod], annotations: {a: b}, retain: {whenDeleted: Delete, whenScaled: Delete}}, quota: 500GiB}",
	"program": `
copies: 3
zone: $(ZONE)
drainTimeoutSeconds: 60
discovery: {bootstrap: [/ip4/192.0.2.7/tcp/4242], dns: ["other-peers.there.svc:4242"], mdns: true}
log: {level: debug, format: text}
extraArgs: [--away-grace=90s, --max-connections=100]
extraEnv: [{name: ZONE, valueFrom: {fieldRef: {fieldPath: "metadata.labels['topology.kubernetes.io/zone']"}}}]
probes: {startupSeconds: 600, livenessSeconds: 120, readinessPeriodSeconds: 5}
`,
}
