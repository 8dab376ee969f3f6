package org.moe4j.engine.model;

import java.util.List;

/** Where the routed experts of a model come from when a layer needs them. */
public interface ExpertSource {
  /**
   * The wanted experts of a layer, usable until the lease is closed. A step takes the leases of its
   * layers in order and holds one at a time.
   *
   * @param layer index of a layer that routes
   * @param experts indices in ascending order, each once; not to be kept
   */
  Lease lease(int layer, int[] experts);

  /** Experts that stay in memory. */
  interface Lease extends AutoCloseable {
    /** In the order in which they were wanted. */
    List<Expert> experts();

    /** Gives them back. */
    @Override
    void close();
  }
}
