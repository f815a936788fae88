-- Used by: "label-studio-gate migrate", to say who may use the gate's own tables.
-- Returns: the roles to which their owner has granted that, whoever ran the grant.
SELECT coalesce(role.rolname, 'PUBLIC')::text AS role
  FROM pg_class AS relation
  JOIN pg_namespace AS namespace
    ON namespace.oid = relation.relnamespace
   AND namespace.nspname = 'label_studio_gate'
 CROSS JOIN LATERAL aclexplode(relation.relacl) AS granted
  LEFT JOIN pg_roles AS role
    ON role.oid = granted.grantee
 WHERE relation.relname = 'used_token'
   AND granted.privilege_type = 'INSERT'
   AND granted.grantee <> relation.relowner
 ORDER BY 1
