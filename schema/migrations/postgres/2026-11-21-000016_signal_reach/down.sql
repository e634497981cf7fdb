DROP TABLE budget_exhaustions;
DROP TABLE signal_deliveries;
DROP TABLE signal_reach;
