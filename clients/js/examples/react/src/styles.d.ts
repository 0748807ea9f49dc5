// What styles may hold beside CSS's own properties.
import "react";

declare module "react" {
  interface CSSProperties {
    "--hue"?: number;
  }
}
