/** `errand/prometheus`: metrics for Prometheus. */
export { prometheus, type Measured, type Prometheus } from './prometheus.ts'
