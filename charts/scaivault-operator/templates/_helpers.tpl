{{/* Names. `name` is the label that selects the pods, `fullname` the name of namespaced objects, `clusterName` that of cluster-scoped ones. */}}
{{- define "scaivault-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "scaivault-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Two installs in two namespaces must not meet in one cluster-scoped object. */}}
{{- define "scaivault-operator.clusterName" -}}
{{- printf "%s.%s" (include "scaivault-operator.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "scaivault-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "scaivault-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the existing ServiceAccount when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The user as the API server sees it; the admission guards bind to it. */}}
{{- define "scaivault-operator.user" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "scaivault-operator.serviceAccountName" .) -}}
{{- end -}}

{{- define "scaivault-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "scaivault-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "scaivault-operator.labels" -}}
{{ include "scaivault-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "scaivault-operator.image" -}}
{{- $i := .Values.image -}}
{{- $repository := ternary (printf "%s/%s" $i.registry $i.repository) $i.repository (ne $i.registry "") -}}
{{- if $i.digest -}}
{{- printf "%s@%s" $repository $i.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $i.tag) -}}
{{- end -}}
{{- end -}}

{{- define "scaivault-operator.leaseName" -}}scaivault-operator{{- end -}}

{{- define "scaivault-operator.markSecretName" -}}
{{- if .Values.marks.existingSecret.name -}}
{{- .Values.marks.existingSecret.name -}}
{{- else -}}
{{- printf "%s-key" (include "scaivault-operator.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Namespaces in which the operator never writes a Secret. */}}
{{- define "scaivault-operator.protectedNamespaces" -}}
{{- concat .Values.guards.protectedNamespaces (list .Release.Namespace) | uniq | toJson -}}
{{- end -}}

{{- define "scaivault-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "scaivault-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The rights per watched scope: in a ClusterRole, or in a Role of each listed namespace. */}}
{{- define "scaivault-operator.watchedRules" -}}
# Our kinds. `patch` is for metadata.finalizers only; the own-kinds guard holds it to that.
- apiGroups: [scaivault.scailabs.ai]
  resources: [federationbackends, secretsyncs]
  verbs: [get, list, watch, patch]
- apiGroups: [scaivault.scailabs.ai]
  resources: [federationbackends/status, secretsyncs/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Secrets as targets. THIS READS EVERY SECRET OF THE SCOPE: list, watch and patch answer with values to whoever asks for them.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch{{ if .Values.secrets.delete }}, delete{{ end }}]
{{- end -}}

{{/* The secret of AWS that holds the ScaiVault connection. */}}
{{- define "scaivault-operator.awsSecret" -}}
{{- $given := .Values.scaivault.auth.awsSecret -}}
{{- $login := $given.credentials -}}
{{- $files := "/var/run/secrets/scaivault-operator/aws" -}}
{{- $credentials := dict "mode" $login.mode -}}
{{- if eq $login.mode "Profile" }}
{{- $_ := set $credentials "profile" (required "scaivault.auth.awsSecret.credentials.profile: needed with mode Profile" $login.profile) -}}
{{- $_ := set $credentials "profileFile" (printf "%s/credentials" $files) -}}
{{- else if eq $login.mode "Explicit" }}
{{- $_ := set $credentials "accessKeyIDFile" (printf "%s/access_key_id" $files) -}}
{{- $_ := set $credentials "secretAccessKeyFile" (printf "%s/secret_access_key" $files) -}}
{{- end -}}
{{- $secret := dict "credentials" $credentials -}}
{{- range $key := list "name" "region" "interval" }}
{{- if get $given $key }}{{- $_ := set $secret $key (get $given $key) -}}{{- end -}}
{{- end -}}
{{- toYaml $secret -}}
{{- end -}}

{{/*
The operator's configuration file: values.config, and what the chart alone knows. A field that the chart sets must not be set in
values.config: two places for one thing end in a surprise.
*/}}
{{- define "scaivault-operator.config" -}}
{{- $run := "/var/run/secrets/scaivault-operator" -}}
{{- $config := deepCopy .Values.config -}}
{{- $auth := .Values.scaivault.auth -}}
{{- $owned := dict
  "cluster.name" "cluster.name"
  "operatorNamespace" "the release's namespace"
  "watchNamespaces" "watchNamespaces"
  "marks" "marks"
  "leaderElection.leaseName" "none: the Role is pinned to it"
  "health" "ports.health"
  "metrics" "metrics"
-}}
{{- if or .Values.extraCa.secretName .Values.extraCa.configMapName }}{{- $_ := set $owned "caFile" "extraCa" -}}{{- end -}}
{{- if .Values.proxy.existingSecret }}{{- $_ := set $owned "proxy.url" "proxy" -}}{{- $_ := set $owned "proxy.urlFile" "proxy" -}}{{- end -}}
{{- if eq $auth.method "token" }}{{- $_ := set $owned "scaivault.auth" "scaivault.auth" -}}{{- end -}}
{{- if eq $auth.method "awsSecret" }}
{{- range list "url" "auth" "tenantID" }}{{- $_ := set $owned (printf "scaivault.%s" .) "none: it stands in the AWS secret" -}}{{- end -}}
{{- $_ := set $owned "scaivault.connectionFrom" "scaivault.auth.awsSecret" -}}
{{- end -}}
{{- range $field, $value := $owned -}}
{{- $at := $config -}}
{{- range initial (splitList "." $field) }}{{- $at = get $at . | default dict -}}{{- end -}}
{{- if hasKey $at (last (splitList "." $field)) }}{{- fail (printf "config.%s: the chart sets this field itself; use the value %s" $field $value) }}{{- end -}}
{{- end -}}
{{- $files := list -}}
{{- range .Values.marks.existingSecret.keys }}{{- $files = append $files (printf "%s/marks/%s" $run .) -}}{{- end -}}
{{- $set := dict
  "cluster" (dict "name" (required "cluster.name: name this cluster, uniquely in your fleet; it never changes afterwards" .Values.cluster.name))
  "operatorNamespace" .Release.Namespace
  "marks" (dict "keyFiles" $files)
  "leaderElection" (dict "leaseName" (include "scaivault-operator.leaseName" .))
  "health" (dict "port" (int .Values.ports.health))
  "metrics" (dict "port" (int .Values.metrics.port) "objects" .Values.metrics.objects)
-}}
{{- if not .Values.metrics.enabled }}{{- $_ := set $set.metrics "address" "127.0.0.1" -}}{{- end -}}
{{- with .Values.watchNamespaces }}{{- $_ := set $set "watchNamespaces" (uniq .) -}}{{- end -}}
{{- if hasKey $owned "caFile" }}{{- $_ := set $set "caFile" (printf "%s/ca/ca.crt" $run) -}}{{- end -}}
{{- if .Values.proxy.existingSecret }}{{- $_ := set $set "proxy" (dict "urlFile" (printf "%s/proxy/url" $run)) -}}{{- end -}}
{{- $connection := get $config "scaivault" | default dict -}}
{{- if and (not (has $auth.method (list "none" "awsSecret"))) (not (hasKey $connection "url")) }}{{- fail (printf "config.scaivault.url: needed with scaivault.auth.method %s" $auth.method) }}{{- end -}}
{{- if and (eq $auth.method "none") $connection (not (hasKey $connection "auth")) (not (hasKey $connection "connectionFrom")) }}{{- fail "scaivault.auth.method: say how to log in to config.scaivault.url: token, clientCredentials or tokenExchange" }}{{- end -}}
{{- if eq $auth.method "token" }}
{{- $_ := set $set "scaivault" (dict "auth" (dict "tokenFile" (printf "%s/scaivault/token" $run))) -}}
{{- else if eq $auth.method "clientCredentials" }}
{{- $_ := set $set "scaivault" (dict "auth" (dict "clientCredentials" (dict "clientIDFile" (printf "%s/scaivault/client_id" $run) "clientSecretFile" (printf "%s/scaivault/client_secret" $run)))) -}}
{{- else if eq $auth.method "tokenExchange" }}
{{- $_ := set $set "scaivault" (dict "auth" (dict "tokenExchange" (dict "subjectTokenFile" (printf "%s/scaivault/subject-token" $run)))) -}}
{{- else if eq $auth.method "awsSecret" }}
{{- $_ := set $set "scaivault" (dict "connectionFrom" (dict "awsSecret" (include "scaivault-operator.awsSecret" . | fromYaml))) -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $config $set) -}}
{{- end -}}
