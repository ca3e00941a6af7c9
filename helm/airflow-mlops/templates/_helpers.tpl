{{- define "airflow-mlops.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* 50 characters: what is put behind it must fit into the 63 of a name of DNS. */ -}}
{{- define "airflow-mlops.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "airflow-mlops.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "airflow-mlops.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "airflow-mlops.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "airflow-mlops.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "airflow-mlops.mlflow.name" -}}
{{- printf "%s-mlflow" (include "airflow-mlops.fullname" .) }}
{{- end }}

{{- define "airflow-mlops.mlflow.selector" -}}
app.kubernetes.io/name: {{ include "airflow-mlops.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: mlflow
{{- end }}

{{- define "airflow-mlops.mlflow.serviceAccount" -}}
{{- if .Values.mlflow.serviceAccount.create }}
{{- default (include "airflow-mlops.mlflow.name" .) .Values.mlflow.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.mlflow.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "airflow-mlops.mlflow.image" -}}
{{- with .Values.mlflow.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "airflow-mlops.mlflow.hosts" -}}
{{- $name := include "airflow-mlops.mlflow.name" . }}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) }}
{{- if ne (int .Values.mlflow.service.port) 80 }}
{{- range $host := $hosts }}{{- $hosts = append $hosts (printf "%s:%d" $host (int $.Values.mlflow.service.port)) }}{{- end }}
{{- end }}
{{- if .Values.mlflow.ingress.enabled }}{{- $hosts = append $hosts .Values.mlflow.ingress.host }}{{- end }}
{{- join "," (concat $hosts .Values.mlflow.allowedHosts) }}
{{- end }}

{{- define "airflow-mlops.pod.security" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "airflow-mlops.container.security" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Pods of the official chart's release. */ -}}
{{- define "airflow-mlops.airflow.selector" -}}
release: {{ .Values.airflow.release }}
{{- end }}

{{- define "airflow-mlops.egress.common" -}}
- to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- if .Values.networkPolicies.httpsEgress }}
- to:
    {{- range .Values.networkPolicies.httpsEgress }}
    # The address of the machine's own metadata, with its keys, is nobody's business: roles come by IRSA.
    - ipBlock: {cidr: {{ . | quote }}{{ if eq . "0.0.0.0/0" }}, except: [169.254.169.254/32]{{ end }}}
    {{- end }}
  ports: [{protocol: TCP, port: 443}]
{{- end }}
{{- end }}
