{{/* Refuses what would fail later, or quietly do something else. */}}
{{- define "headrace.guards" -}}
{{- $settings := fromToml .Values.settings -}}
{{- with index $settings "Error" -}}
{{- fail (printf "settings is no TOML: %s" .) -}}
{{- end -}}
{{- $owned := dict
  "topics.prefix" "topics.prefix"
  "kafka.drain_deadline" "workers.drainSeconds"
  "scaling.realizer" "scaling.by"
  "scaling.limits" "scaling.min and scaling.max"
  "scaling.kubernetes" "scaling.by"
  "cache.disk.size" "workers.cacheGiB"
  "cache.disk.path" "workers.cacheGiB"
  "http.listen" "ipFamily"
  "http.advertise" "ipFamily"
  "front.listen" "front.enabled"
  "front.require_keys" "front.enabled"
  "front.tls" "front.tls.secret"
  "ui.listen" "ui.enabled"
  "ui.path" "ui.volume"
  "ui.disk" "ui.volume.sizeGiB"
  "ui.hosts" "ui.ingress.hosts"
  "ui.viewer_token_env" "ui.tokens"
  "ui.viewer_token_file" "ui.tokens"
  "ui.operator_token_env" "ui.tokens"
  "ui.operator_token_file" "ui.tokens" -}}
{{- range $key, $value := $owned -}}
{{- $at := $settings -}}
{{- range splitList "." $key -}}
{{- $at = kindIs "map" $at | ternary (index ($at | default dict) .) nil -}}
{{- end -}}
{{- if not (kindIs "invalid" $at) -}}
{{- fail (printf "settings: %s is not set here: the value %s says it" $key $value) -}}
{{- end -}}
{{- end -}}
{{- if gt (int .Values.scaling.min) (int .Values.scaling.max) -}}
{{- fail (printf "scaling.min (%v) must be at most scaling.max (%v)" .Values.scaling.min .Values.scaling.max) -}}
{{- end -}}
{{- $keys := concat .Values.workers.secretEnv (include "headrace.fileSecrets" .Values.workers.secretFiles | fromJsonArray) -}}
{{- $others := concat .Values.secretEnv (include "headrace.fileSecrets" .Values.secretFiles | fromJsonArray) (list .Values.ui.tokens.secret .Values.front.tls.secret) -}}
{{- range list "control" "front" "ui" -}}
{{- $role := index $.Values . -}}
{{- $others = concat $others $role.secretEnv (include "headrace.fileSecrets" $role.secretFiles | fromJsonArray) -}}
{{- end -}}
{{- range $keys -}}
{{- if has . $others -}}
{{- fail (printf "the Secret %s is given to workers and to others: what holds providers' keys is for workers alone; put the rest into another Secret" .) -}}
{{- end -}}
{{- end -}}
{{- if .Values.ui.enabled -}}
{{- with .Values.ui.tokens -}}
{{- if not (and .secret (or .viewerKey .operatorKey)) -}}
{{- fail "ui.enabled: ui.tokens.secret names an existing Secret with a token; without one the control room would be open to everybody" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range list "front" "ui" -}}
{{- $role := index $.Values . -}}
{{- if and $role.ingress.enabled (not $role.ingress.hosts) -}}
{{- fail (printf "%s.ingress.enabled: %s.ingress.hosts names no host" . .) -}}
{{- end -}}
{{- if and $role.ingress.enabled (not $role.enabled) -}}
{{- fail (printf "%s.ingress.enabled needs %s.enabled" . .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The names of the Secrets in a list of {secret, path}, as JSON. */}}
{{- define "headrace.fileSecrets" -}}
{{- $names := list -}}
{{- range . -}}
{{- $names = append $names .secret -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
