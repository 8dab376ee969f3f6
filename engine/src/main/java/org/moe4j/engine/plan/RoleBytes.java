package org.moe4j.engine.plan;

/**
 * Bytes of all tensors of a role.
 *
 * @param stored in the file
 * @param packed in memory if all of it is there
 * @param resident in memory under the budget
 */
public record RoleBytes(Role role, long stored, long packed, long resident) {}
