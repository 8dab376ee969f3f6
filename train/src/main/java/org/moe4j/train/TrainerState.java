package org.moe4j.train;

import java.util.Base64;
import org.moe4j.train.data.SamplerState;
import tools.jackson.databind.node.ObjectNode;

/**
 * Where a {@link Trainer} stands, without tensors.
 *
 * @param step steps done
 * @param skipped steps among them that updated nothing
 * @param skippedInARow such steps at the end
 * @param sampler which batch comes next
 * @param noise the random source of routers and dropout
 */
record TrainerState(
    long step, long skipped, int skippedInARow, SamplerState sampler, byte[] noise) {

  void writeTo(ObjectNode json) {
    json.put("step", step);
    json.put("skipped", skipped);
    json.put("skipped_in_a_row", skippedInARow);
    ObjectNode s = json.putObject("sampler");
    s.put("seed", sampler.seed());
    s.put("epoch", sampler.epoch());
    s.put("position", sampler.position());
    json.put("noise", Base64.getEncoder().encodeToString(noise));
  }

  static TrainerState read(Json json) {
    Json s = json.object("sampler");
    return new TrainerState(
        json.whole("step"),
        json.whole("skipped"),
        (int) json.whole("skipped_in_a_row"),
        new SamplerState(s.whole("seed"), (int) s.whole("epoch"), (int) s.whole("position")),
        json.bytes("noise"));
  }
}
