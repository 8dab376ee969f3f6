package org.moe4j.train;

import tools.jackson.databind.node.ObjectNode;

/**
 * What a run has used so far, over all processes that worked on it.
 *
 * @param tokens trained on
 * @param stepSeconds within steps
 * @param seconds in all
 */
record Progress(long tokens, double stepSeconds, double seconds) {
  static final Progress NONE = new Progress(0, 0, 0);

  void writeTo(ObjectNode json) {
    json.put("tokens", tokens);
    json.put("step_seconds", stepSeconds);
    json.put("seconds", seconds);
  }

  static Progress read(Json json) {
    return new Progress(
        json.whole("tokens"), json.number("step_seconds"), json.number("seconds"));
  }
}
