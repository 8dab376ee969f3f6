package org.moe4j;

import java.util.Map;
import org.moe4j.tensor.Tensor;

/**
 * What a layer returns.
 *
 * @param output the mixed expert outputs, of the input's shape and type
 * @param routing the plan that was carried out, after drops
 * @param balance the sum of the weighted balance losses: one number with gradient; 0 outside
 *     training
 * @param losses the weighted terms of that sum by name
 * @param context the tokens' context
 */
public record MoeOutput(
    Tensor output,
    Routing routing,
    Tensor balance,
    Map<String, Tensor> losses,
    TokenContext context) {

  /** The statistics of the routing, computed at each call and valid beyond the pass. */
  public RoutingStats stats() {
    return RoutingStats.of(routing, context);
  }
}
