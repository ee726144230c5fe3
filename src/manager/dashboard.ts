/** `errand/dashboard`: the dashboard of an app, with the HTTP API that it talks to. */
export {
  /**
   * Makes the dashboard of an app, to be mounted under any path. It is the app's manager: the page
   * is at the mount itself, the API that it talks to beside it.
   */
  manager as dashboard,
  type Manager as Dashboard,
  type ManagerOptions as DashboardOptions,
} from './manager.ts'
