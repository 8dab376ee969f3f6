package org.moe4j.engine.model;

import java.util.List;

/**
 * Where the routed experts of a model come from when a layer needs them. A step requests those of
 * its layers in order and has one request open at a time.
 */
public interface ExpertSource extends AutoCloseable {
  /**
   * Asks for experts of a layer.
   *
   * @param layer index of a layer that routes
   * @param experts indices in ascending order, each once; not to be changed
   */
  Request request(int layer, int[] experts);

  /**
   * How many experts of the next layer it can fetch ahead; 0 if guessing them is of no use because
   * all are in memory.
   */
  default int ahead() {
    return 0;
  }

  /**
   * Tells which experts a later layer will likely ask for, the likeliest first. It replaces what
   * was told before.
   */
  default void guess(int layer, int[] experts) {}

  /** Ends what runs in the background. */
  @Override
  default void close() {}

  /** Experts on their way. */
  interface Request extends AutoCloseable {
    /** The next ones that are there; none after all were handed over. Ends the use of the last. */
    Ready next();

    /** Gives up what was not handed over, and the use of what was. */
    @Override
    void close();
  }

  /**
   * Experts that can be used.
   *
   * @param which their places among those that were asked for
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  record Ready(int[] which, List<Expert> experts) {
    /** No more. */
    public static final Ready NONE = new Ready(new int[0], List.of());
  }
}
