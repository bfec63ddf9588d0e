{{- define "mcdeploy.labels" -}}
app.kubernetes.io/name: mcdeploy
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "mcdeploy.selector" -}}
app.kubernetes.io/name: mcdeploy
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "mcdeploy.image" -}}
{{- $repository := required "image.repository is required, such as registry.example.com/mcdeployd" .Values.image.repository -}}
{{- $digest := required "image.digest is required, sha256:<64 hex digits>" .Values.image.digest -}}
{{ printf "%s@%s" $repository $digest }}
{{- end }}

{{- define "mcdeploy.pod" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "mcdeploy.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "mcdeploy.podEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end }}

{{- /* Who the hub is in a member: the account, and what clouds make of the operator's identity. */}}
{{- define "mcdeploy.hubSubjects" -}}
- kind: ServiceAccount
  name: mcdeploy-hub
  namespace: {{ .Release.Namespace }}
{{- range .Values.member.hub.groups }}
- kind: Group
  apiGroup: rbac.authorization.k8s.io
  name: {{ . | quote }}
{{- end }}
{{- range .Values.member.hub.users }}
- kind: User
  apiGroup: rbac.authorization.k8s.io
  name: {{ . | quote }}
{{- end }}
{{- end }}

{{- /* Labels and annotations of an account; identities of clouds are bound by them. */}}
{{- define "mcdeploy.accountMetadata" -}}
labels:
  {{- include "mcdeploy.labels" .root | nindent 2 }}
  {{- with .account.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .account.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The part of a NetworkPolicy that lets metrics be read. Kubelets of the node need none. */}}
{{- define "mcdeploy.metricsIngress" -}}
ingress:
  {{- with .Values.networkPolicy.metricsFrom }}
  - from:
      {{- toYaml . | nindent 6 }}
    ports:
      - protocol: TCP
        port: admin
  {{- end }}
{{- end }}

{{/* Names are looked up on the node, too (169.254.20.10). */}}
{{- define "mcdeploy.dnsEgress" -}}
- ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
{{- end }}
